//! What every runtime behind the seam must do, checked for each of them.
//!
//! Where io_uring does not work its tests fail, so that nobody believes in a run that never touched it; set
//! `CAROUSEL_NO_URING=1` to accept that and run the rest. glommio is there with the cargo feature of its name:
//! `cargo test -p carousel-server --features glommio --test runtime_contract glommio`.

mod mailbox;
mod streams;
mod tasks;

use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use carousel_server::runtime::{RunOptions, Runtime};

/// Far beyond what any test takes, so that a lost wake-up is a failure and not a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `test` on a thread of its own with a runtime, and gives its result back.
fn run<R: Runtime, T: Send + 'static, F: Future<Output = T>>(test: impl FnOnce() -> F + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = R::run(&RunOptions::default(), async { test().await }).expect("the runtime starts");
        let _ = sender.send(result);
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(result) => {
            thread.join().expect("the thread is done");
            result
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still not done after {PATIENCE:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("the thread sends before it ends"),
        },
    }
}

/// A connected pair of blocking sockets.
fn socket_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    (accepted, connecting)
}

/// Bytes that tell a lost, doubled or displaced piece from the right one.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn read_exactly(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn write_all(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

/// Starts a task and gives a future of its result.
fn start<R: Runtime, T: 'static>(future: impl Future<Output = T> + 'static) -> impl Future<Output = T> {
    let (sender, receiver) = futures::channel::oneshot::channel();
    R::spawn(async move {
        let _ = sender.send(future.await);
    });
    async move { receiver.await.expect("the task ends with a result") }
}

fn uring_is_excused() -> bool {
    std::env::var_os("CAROUSEL_NO_URING").is_some_and(|value| value == "1")
}

macro_rules! contract {
    ($($group:ident: $($name:ident)+;)+) => {
        mod uring {
            $($(#[test]
            fn $name() {
                if !super::uring_is_excused() {
                    crate::$group::$name::<carousel_server::runtime::uring::Uring>();
                }
            })+)+
        }
        #[cfg(feature = "glommio")]
        mod glommio {
            $($(#[test]
            fn $name() {
                if !super::uring_is_excused() {
                    crate::$group::$name::<carousel_server::runtime::glommio::Glommio>();
                }
            })+)+
        }
        mod epoll {
            $($(#[test]
            fn $name() {
                crate::$group::$name::<carousel_server::runtime::epoll::Epoll>();
            })+)+
        }
    };
}

contract! {
    streams:
        echo_gives_back_what_was_sent
        read_appends_within_the_spare_capacity
        read_without_spare_capacity_is_an_error
        reads_smaller_than_what_arrived_lose_nothing
        end_of_stream_from_the_peer_leaves_writing_open
        shutdown_ends_our_direction_only
        shutdown_after_a_reset_is_no_error
        reset_by_the_peer_is_an_error_of_read_and_write
        a_write_waits_for_a_peer_that_does_not_read
        both_directions_flow_at_once
        small_and_large_messages_in_turn_lose_nothing
        input_that_is_not_read_holds_up_nobody_else
        many_connections_share_one_thread
        dropping_both_halves_closes_the_connection
        an_aborted_task_closes_its_connection
        an_adopted_socket_may_be_non_blocking_and_gets_no_delay
        connect_reaches_a_listener
        connect_to_nobody_is_refused;
    tasks:
        run_gives_the_result_and_drops_what_is_left
        a_panic_ends_its_task_alone
        ready_tasks_run_first_in_first_out
        the_notified_task_runs_once_after_all_ready_tasks
        the_notified_task_runs_seldom_when_many_sockets_are_ready
        a_notification_before_the_wait_is_not_lost
        timers_fire_in_order_and_never_early
        a_dropped_timer_does_not_fire
        yielding_tasks_starve_neither_timers_nor_sockets
        io_is_looked_for_between_the_steps_of_a_task_that_yields
        tasks_are_woken_from_other_threads;
    mailbox:
        messages_of_many_threads_arrive_in_order_per_sender
        a_sleeping_receiver_is_woken_each_time
        a_receiver_serves_its_sockets_too;
}
