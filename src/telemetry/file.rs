//! The SA log: lines appended to a file by a thread of its own, so that a slow or full disk stops no tunnel.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

/// Lines that may wait for the disk; what comes on top is lost and counted.
const QUEUE: usize = 1024;

enum Message {
    Line(Arc<str>),
    Reopen,
    Flush(SyncSender<()>),
}

/// What both ends of the queue see, however full it is.
#[derive(Debug, Default)]
struct Shared {
    overflowed: AtomicU64,
    /// The file was moved away, and the queue had no room to say so.
    moved: AtomicBool,
}

/// The near end of the thread that writes. On drop, what waits is written and the thread joined.
#[derive(Debug)]
pub(super) struct LogFile {
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl LogFile {
    /// `None`, with an error in the log, if the machine gives no thread.
    pub(super) fn start(path: &Path) -> Option<Self> {
        let (queue, messages) = mpsc::sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let mut writer = Writer::new(path.to_owned(), Arc::clone(&shared));
        let thread = thread::Builder::new().name("sa-log".to_owned()).spawn(move || {
            writer.reopen();
            writer.run(&messages);
        });
        match thread {
            Ok(thread) => Some(Self { queue: Some(queue), thread: Some(thread), shared }),
            Err(error) => {
                tracing::error!("the SA log {} is not written: {error}", path.display());
                None
            }
        }
    }

    pub(super) fn write(&self, line: Arc<str>) {
        if self.send(Message::Line(line)).is_none() {
            self.shared.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn reopen(&self) {
        if self.send(Message::Reopen).is_none() {
            self.shared.moved.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        if let Some(queue) = &self.queue
            && queue.send(Message::Flush(done)).is_ok()
        {
            // A thread that is gone writes nothing more.
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
    shared: Arc<Shared>,
    /// The last write may have ended within a line.
    torn: bool,
}

impl Writer {
    fn new(path: PathBuf, shared: Arc<Shared>) -> Self {
        Self { path, file: None, lost: 0, shared, torn: false }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        for message in messages {
            if self.shared.moved.swap(false, Ordering::Relaxed) {
                self.reopen();
            }
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
                let lost = self.lost + self.shared.overflowed.swap(0, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {

    use std::fs;

    use super::*;

    #[test]
    fn a_rotation_is_followed_however_full_the_queue_is() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("sa.jsonl"), directory.path().join("sa.jsonl.1"));
        let (queue, messages) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared::default());
        let mut writer = Writer::new(path.clone(), Arc::clone(&shared));
        writer.reopen();
        let log = LogFile { queue: Some(queue), thread: None, shared };
        log.write("waits for the disk".into());
        fs::rename(&path, &old).unwrap();
        log.reopen();
        drop(log);
        writer.run(&messages);
        assert_eq!(fs::read_to_string(&path).unwrap(), "waits for the disk\n");
        assert_eq!(fs::read_to_string(&old).unwrap(), "");
    }
}
