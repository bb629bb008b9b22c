//! Mailboxes: they must wake each runtime out of its sleep in the kernel.

use std::thread;

use carousel_server::runtime::{Reader, RunOptions, Runtime, Stream, Writer};
use carousel_server::shard::mailbox::mailbox;

use crate::{read_exactly, run, socket_pair, start, write_all};

pub fn messages_of_many_threads_arrive_in_order_per_sender<R: Runtime>() {
    const SENDERS: usize = 4;
    const MESSAGES: usize = 50_000;
    run::<R, _, _>(|| async {
        let (sender, mut mailbox) = mailbox();
        let threads: Vec<_> = (0..SENDERS)
            .map(|number| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for message in 0..MESSAGES {
                        sender.send((number, message));
                        if message % 64 == 0 {
                            // Gives the receiver the chance to fall asleep.
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        start::<R, _>(async move {
            let (mut next, mut batch) = ([0; SENDERS], Vec::new());
            while next.iter().any(|&count| count < MESSAGES) {
                assert!(mailbox.drain(&mut batch).await > 0);
                for (number, message) in batch.drain(..) {
                    assert_eq!(message, next[number], "from sender {number}");
                    next[number] += 1;
                }
            }
        })
        .await;
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

pub fn a_sleeping_receiver_is_woken_each_time<R: Runtime>() {
    const ROUNDS: u32 = 20_000;
    let (to_left, mut left) = mailbox();
    let (to_right, mut right) = mailbox();
    // Two threads hand one message back and forth, so each is asleep whenever the other sends.
    let answering = thread::spawn(move || {
        R::run(&RunOptions::default(), async {
            start::<R, _>(async move {
                let mut batch = Vec::new();
                loop {
                    right.drain(&mut batch).await;
                    for message in batch.drain(..) {
                        to_left.send(message);
                        if message == ROUNDS {
                            return;
                        }
                    }
                }
            })
            .await;
        })
        .unwrap();
    });
    run::<R, _, _>(move || async move {
        start::<R, _>(async move {
            let mut batch = Vec::new();
            for round in 1..=ROUNDS {
                to_right.send(round);
                assert_eq!(left.drain(&mut batch).await, 1);
                assert_eq!(batch.pop(), Some(round));
            }
        })
        .await;
    });
    answering.join().unwrap();
}

pub fn a_receiver_serves_its_sockets_too<R: Runtime>() {
    const ROUNDS: u32 = 2000;
    let (ours, mut theirs) = socket_pair();
    let (sender, mut mailbox) = mailbox();
    // The peer's thread uses both ways in turn; neither may make the loop deaf to the other.
    let peer = thread::spawn(move || {
        for round in 0..ROUNDS {
            write_all(&mut theirs, b"ping");
            assert_eq!(read_exactly(&mut theirs, 4), b"ping");
            let (answer, answered) = std::sync::mpsc::channel();
            sender.send((round, answer));
            assert_eq!(answered.recv(), Ok(round));
        }
    });
    run::<R, _, _>(move || async move {
        let serving = start::<R, _>(async move {
            let (mut reader, mut writer) = R::adopt(ours).unwrap().split();
            loop {
                let (result, buf) = reader.read(Vec::with_capacity(100)).await;
                if result.unwrap() == 0 {
                    return;
                }
                writer.write_all(buf).await.0.unwrap();
            }
        });
        let receiving = start::<R, _>(async move {
            let (mut received, mut batch) = (0, Vec::new());
            while received < ROUNDS {
                mailbox.drain(&mut batch).await;
                for (round, answer) in batch.drain(..) {
                    answer.send(round).unwrap();
                    received += 1;
                }
            }
        });
        receiving.await;
        serving.await;
    });
    peer.join().unwrap();
}
