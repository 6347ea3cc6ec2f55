//! The SA log: lines appended to a file by a thread of its own, so that a slow or full disk stops no tunnel.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

/// Lines that may wait for the disk; what comes on top is lost and counted.
const QUEUE: usize = 1024;

enum Message {
    Line(Arc<str>),
    Reopen,
    Flush(SyncSender<()>),
}

/// The near end of the thread that writes. On drop, what waits is written and the thread joined.
#[derive(Debug)]
pub(super) struct LogFile {
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    overflowed: Arc<AtomicU64>,
}

impl LogFile {
    /// `None`, with an error in the log, if the machine gives no thread.
    pub(super) fn start(path: &Path) -> Option<Self> {
        let (queue, messages) = mpsc::sync_channel(QUEUE);
        let overflowed = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(path.to_owned(), Arc::clone(&overflowed));
        let thread = thread::Builder::new().name("sa-log".to_owned()).spawn(move || writer.run(&messages));
        match thread {
            Ok(thread) => Some(Self { queue: Some(queue), thread: Some(thread), overflowed }),
            Err(error) => {
                tracing::error!("the SA log {} is not written: {error}", path.display());
                None
            }
        }
    }

    pub(super) fn write(&self, line: Arc<str>) {
        if self.send(Message::Line(line)).is_none() {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn reopen(&self) {
        let _ = self.send(Message::Reopen);
    }

    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if let Some(queue) = &self.queue
            && queue.send(Message::Flush(done)).is_ok()
        {
            let _ = wait.recv();
        }
    }

    fn send(&self, message: Message) -> Option<()> {
        self.queue.as_ref()?.try_send(message).ok()
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The far end.
struct Writer {
    path: PathBuf,
    file: Option<File>,
    /// Lines lost since the last success; the first of a row is told of.
    lost: u64,
    overflowed: Arc<AtomicU64>,
    /// The last write may have ended within a line.
    torn: bool,
}

impl Writer {
    fn new(path: PathBuf, overflowed: Arc<AtomicU64>) -> Self {
        Self { path, file: None, lost: 0, overflowed, torn: false }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        self.reopen();
        for message in messages {
            match message {
                Message::Line(line) => self.write(&line),
                Message::Reopen => self.reopen(),
                Message::Flush(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    fn reopen(&mut self) {
        self.torn = false;
        match open(&self.path) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                self.file = None;
                tracing::error!(
                    "the SA log {} cannot be opened: {error}; tunnels go on without it",
                    self.path.display()
                );
            }
        }
    }

    fn write(&mut self, line: &str) {
        match self.try_write(line) {
            Ok(()) => {
                let lost = self.lost + self.overflowed.swap(0, Ordering::Relaxed);
                self.lost = 0;
                if lost > 0 {
                    tracing::warn!(
                        "the SA log {} is written again; {lost} records are missing",
                        self.path.display()
                    );
                }
            }
            Err(error) => {
                if self.lost == 0 {
                    tracing::error!("the SA log {} cannot be written: {error}", self.path.display());
                }
                self.lost += 1;
            }
        }
    }

    fn try_write(&mut self, line: &str) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path)?),
        };
        // One write a line, so that lines of two writers would not mix.
        let start = if self.torn { "\n" } else { "" };
        let written = file.write_all(format!("{start}{line}\n").as_bytes());
        self.torn = written.is_err();
        written
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent().filter(|d| !d.exists()) {
        DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
    }
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)
}
