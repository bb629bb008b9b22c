//! A program at a terminal of its own, for a test that types and looks.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::wait::eventually;

/// The program's keyboard, and all that it has ever shown. It is killed when dropped.
pub struct Screen {
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Screen {
    /// Starts `command` with a new terminal as its input and outputs.
    ///
    /// # Panics
    /// If the system has no terminal to give, or the program cannot be executed.
    pub fn start(command: &mut Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal can be had");
        grantpt(&ours).expect("it is ours");
        unlockpt(&ours).expect("it is ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name").into_string().expect("of text");
        let theirs = || File::options().read(true).write(true).open(&name).expect("it can be opened");
        command.env("TERM", "xterm").stdin(theirs()).stdout(theirs()).stderr(theirs());
        let child = command.spawn().expect("the program can be executed");
        let keyboard = File::from(ours);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut output, all) = (keyboard.try_clone().expect("a second handle"), shown.clone());
        // Ends with the last process that holds the terminal.
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                all.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..length]);
            }
        });
        Self { keyboard, shown, child }
    }

    /// Types; `\r` is the Enter key, `\x03` Ctrl-C.
    ///
    /// # Panics
    /// If nobody is there to read it.
    pub fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal is open");
    }

    /// Waits until `text` is shown, later than all that was awaited before, which is forgotten.
    ///
    /// # Panics
    /// If it is not.
    pub async fn await_text(&self, text: &str) {
        eventually(format!("the screen shows {text:?}"), async || self.find(text)).await;
    }

    /// Sends SIGINT until `text` is shown: what waits for the signal may not have begun to.
    ///
    /// # Panics
    /// If that ends the program.
    pub async fn interrupt_until(&self, text: &str) {
        let pid = Pid::from_child(&self.child);
        eventually(format!("an interrupt shows {text:?}"), async || {
            kill_process(pid, Signal::INT).expect("it runs");
            self.find(text)
        })
        .await;
    }

    /// Takes everything up to `text` from what is shown; or says what that is.
    fn find(&self, text: &str) -> Result<(), String> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match shown.windows(text.len()).position(|part| part == text.as_bytes()) {
            Some(start) => {
                shown.drain(..start + text.len());
                Ok(())
            }
            None => Err(shown.escape_ascii().to_string()),
        }
    }

    /// Waits for the end of the program; its exit status.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn await_end(&mut self) -> i32 {
        let ended = eventually("the program ends", async || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        ended.await.code().unwrap_or(-1)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
