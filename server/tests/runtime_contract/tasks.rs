//! Tasks, their order, and timers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carousel_server::runtime::{LocalNotify, Reader, Runtime, Stream};
use futures::channel::oneshot;
use futures::future::{Either, join_all, pending, select};

use crate::{run, socket_pair, start, write_all};

pub fn run_gives_the_result_and_drops_what_is_left<R: Runtime>() {
    struct SetOnDrop(Arc<AtomicBool>);
    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let is_dropped = Arc::new(AtomicBool::new(false));
    let guard = SetOnDrop(Arc::clone(&is_dropped));
    let result = run::<R, _, _>(|| async {
        R::spawn(async move {
            pending::<()>().await;
            drop(guard);
        });
        R::yield_now().await;
        7
    });
    assert_eq!(result, 7);
    assert!(is_dropped.load(Ordering::SeqCst));
}

pub fn a_panic_ends_its_task_alone<R: Runtime>() {
    run::<R, _, _>(|| async {
        let (sender, receiver) = oneshot::channel::<()>();
        R::spawn(async move {
            let _sender = sender;
            panic!("on purpose: the test wants to see the others go on");
        });
        assert!(receiver.await.is_err(), "what the task owned was dropped");
        assert_eq!(start::<R, _>(async { 1 }).await, 1);
    });
}

pub fn ready_tasks_run_first_in_first_out<R: Runtime>() {
    run::<R, _, _>(|| async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let (gates, tasks): (Vec<_>, Vec<_>) = (0..50)
            .map(|number| {
                let (gate, order) = (LocalNotify::new(), Rc::clone(&order));
                let task = start::<R, _>({
                    let gate = gate.clone();
                    async move {
                        gate.wait().await;
                        order.borrow_mut().push(number);
                    }
                });
                (gate, task)
            })
            .unzip();
        R::yield_now().await;
        // Woken in an order that is not the one they were started in.
        let woken: Vec<usize> = (0..50).map(|i| i * 7 % 50).collect();
        start::<R, _>({
            let woken = woken.clone();
            async move { woken.iter().for_each(|&number| gates[number].set()) }
        })
        .await;
        join_all(tasks).await;
        assert_eq!(*order.borrow(), woken);
    });
}

/// Counts, for each run of a task that waits for `notify`, how many had set it since the run before.
fn count_runs<R: Runtime>(notify: &LocalNotify, ready: &Rc<Cell<usize>>) -> Rc<RefCell<Vec<usize>>> {
    let runs = Rc::new(RefCell::new(Vec::new()));
    let (notify, ready, counted) = (notify.clone(), Rc::clone(ready), Rc::clone(&runs));
    R::spawn(async move {
        loop {
            notify.wait().await;
            counted.borrow_mut().push(ready.take());
        }
    });
    runs
}

pub fn the_notified_task_runs_once_after_all_ready_tasks<R: Runtime>() {
    const TASKS: usize = 500;
    run::<R, _, _>(|| async {
        let (turn_end, ready) = (LocalNotify::new(), Rc::new(Cell::new(0)));
        // Started before the others and after them: the place in the list of tasks must not matter.
        let runs = count_runs::<R>(&turn_end, &ready);
        let gates: Vec<_> = (0..TASKS).map(|_| LocalNotify::new()).collect();
        for gate in &gates {
            let (gate, turn_end, ready) = (gate.clone(), turn_end.clone(), Rc::clone(&ready));
            R::spawn(async move {
                loop {
                    gate.wait().await;
                    ready.set(ready.get() + 1);
                    turn_end.set();
                }
            });
        }
        R::yield_now().await;
        for round in 1..=3 {
            let gates = gates.clone();
            start::<R, _>(async move { gates.iter().for_each(LocalNotify::set) }).await;
            while runs.borrow().len() < round {
                R::yield_now().await;
            }
        }
        assert_eq!(*runs.borrow(), [TASKS; 3]);
    });
}

pub fn the_notified_task_runs_seldom_when_many_sockets_are_ready<R: Runtime>() {
    const SOCKETS: usize = 100;
    run::<R, _, _>(|| async {
        let (turn_end, ready) = (LocalNotify::new(), Rc::new(Cell::new(0)));
        let runs = count_runs::<R>(&turn_end, &ready);
        let (ours, mut theirs): (Vec<_>, Vec<_>) = (0..SOCKETS).map(|_| socket_pair()).unzip();
        let reads: Vec<_> = ours
            .into_iter()
            .map(|socket| {
                let (turn_end, ready) = (turn_end.clone(), Rc::clone(&ready));
                start::<R, _>(async move {
                    let (mut reader, _writer) = R::adopt(socket).unwrap().split();
                    assert_eq!(reader.read(Vec::with_capacity(10)).await.0.unwrap(), 1);
                    ready.set(ready.get() + 1);
                    turn_end.set();
                })
            })
            .collect();
        // All reads are under way in the kernel after this.
        R::sleep(Duration::from_millis(1)).await;
        start::<R, _>(async move {
            theirs.iter_mut().for_each(|socket| write_all(socket, b"x"));
            join_all(reads).await;
        })
        .await;
        R::yield_now().await;
        let runs = runs.borrow();
        assert_eq!(runs.iter().sum::<usize>(), SOCKETS);
        // io_uring hands over some twenty completions at a time.
        assert!(runs.len() <= SOCKETS / 10, "{SOCKETS} ready sockets took {} runs: {runs:?}", runs.len());
    });
}

pub fn a_notification_before_the_wait_is_not_lost<R: Runtime>() {
    run::<R, _, _>(|| async {
        let notify = LocalNotify::new();
        notify.set();
        notify.set();
        notify.wait().await;
        let waiting = start::<R, _>({
            let notify = notify.clone();
            async move { notify.wait().await }
        });
        R::yield_now().await;
        notify.set();
        waiting.await;
    });
}

pub fn timers_fire_in_order_and_never_early<R: Runtime>() {
    run::<R, _, _>(|| async {
        let start_at = Instant::now();
        let fired = Rc::new(RefCell::new(Vec::new()));
        let timers: Vec<_> = [40, 10, 0, 30, 20]
            .map(|delay_ms| {
                let fired = Rc::clone(&fired);
                start::<R, _>(async move {
                    R::sleep(Duration::from_millis(delay_ms)).await;
                    assert!(start_at.elapsed() >= Duration::from_millis(delay_ms), "early");
                    fired.borrow_mut().push(delay_ms);
                })
            })
            .into();
        join_all(timers).await;
        assert_eq!(*fired.borrow(), [0, 10, 20, 30, 40]);
    });
}

pub fn a_dropped_timer_does_not_fire<R: Runtime>() {
    run::<R, _, _>(|| async {
        let long = Box::pin(R::sleep(Duration::from_secs(3600)));
        let short = Box::pin(R::sleep(Duration::from_millis(5)));
        match select(long, short).await {
            Either::Left(_) => panic!("an hour has not passed"),
            Either::Right(((), long)) => drop(long),
        }
        // Only this one is left to wake the thread.
        R::sleep(Duration::from_millis(5)).await;
    });
}

pub fn yielding_tasks_starve_neither_timers_nor_sockets<R: Runtime>() {
    let (ours, mut theirs) = socket_pair();
    run::<R, _, _>(|| async move {
        let is_over = Rc::new(Cell::new(false));
        for _ in 0..3 {
            let is_over = Rc::clone(&is_over);
            R::spawn(async move {
                while !is_over.get() {
                    R::yield_now().await;
                }
            });
        }
        let timer = start::<R, _>(R::sleep(Duration::from_millis(5)));
        let read = start::<R, _>(async move {
            let (mut reader, _writer) = R::adopt(ours).unwrap().split();
            reader.read(Vec::with_capacity(10)).await.0.unwrap()
        });
        timer.await;
        write_all(&mut theirs, b"x");
        assert_eq!(read.await, 1);
        is_over.set(true);
    });
}

pub fn io_is_looked_for_between_the_steps_of_a_task_that_yields<R: Runtime>() {
    /// How often the task may have run before a socket that is ready is served.
    const STEPS_MAX: usize = 20;
    if R::name() == "glommio" {
        return; // it goes by a timer of its own
    }
    let (ours, mut theirs) = socket_pair();
    run::<R, _, _>(|| async move {
        let (steps, is_over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let read = start::<R, _>({
            let steps = Rc::clone(&steps);
            async move {
                let (mut reader, _writer) = R::adopt(ours).unwrap().split();
                assert_eq!(reader.read(Vec::with_capacity(10)).await.0.unwrap(), 1);
                steps.get()
            }
        });
        // The read is under way in the kernel after this.
        R::sleep(Duration::from_millis(1)).await;
        R::spawn({
            let (steps, is_over) = (Rc::clone(&steps), Rc::clone(&is_over));
            async move {
                write_all(&mut theirs, b"x");
                while !is_over.get() {
                    steps.set(steps.get() + 1);
                    R::yield_now().await;
                }
            }
        });
        let taken = read.await;
        is_over.set(true);
        assert!(taken <= STEPS_MAX, "{taken} steps while a socket was ready");
    });
}

pub fn tasks_are_woken_from_other_threads<R: Runtime>() {
    // More than any queue for such wake-ups holds.
    const TASKS: u32 = 5000;
    run::<R, _, _>(|| async {
        let (senders, tasks): (Vec<_>, Vec<_>) = (0..TASKS)
            .map(|_| {
                let (sender, receiver) = oneshot::channel();
                (sender, start::<R, _>(async move { receiver.await.unwrap() }))
            })
            .unzip();
        R::yield_now().await;
        let waking = thread::spawn(move || {
            for (sender, number) in senders.into_iter().zip(0..) {
                sender.send(number).unwrap();
            }
        });
        let received: Vec<u32> = join_all(tasks).await;
        assert_eq!(received, (0..TASKS).collect::<Vec<_>>());
        waking.join().unwrap();
    });
}
