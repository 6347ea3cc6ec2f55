//! A web server of a few lines, and OpenSSL's OCSP responder: where certificates say that revocation can be asked.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::namespace::Namespace;
use super::pki::{Authority, Entity};
use super::process::{Process, print_tail};
use super::site::Site;
use super::wait::wait_until;

/// Where both servers are: an address of the router, which no tunnel leads to.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
const WEB_PORT: u16 = 80;
const OCSP_PORT: u16 = 8888;

/// Gives the router the servers' address.
fn address(router: &Namespace) {
    router.ip(&format!("addr replace {ADDRESS}/32 dev lo"));
}

/// A server of files in the router's namespace. It ends with the process of the test.
pub struct Web {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// One without files.
    pub fn start(site: &Site) -> Self {
        address(&site.router);
        let listener =
            site.router.run(|| TcpListener::bind(SocketAddr::from((ADDRESS, WEB_PORT))).expect("listen"));
        let web = Self { files: Arc::default(), asked: Arc::default() };
        let (files, asked) = (web.files.clone(), web.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("accept");
                // A client that goes away takes nothing with it.
                let _ = serve(stream, &files, &asked);
            }
        });
        web
    }

    /// The URL of a file.
    pub fn url(path: &str) -> String {
        format!("http://{ADDRESS}/{path}")
    }

    /// Puts a file there.
    pub fn put(&self, path: &str, content: Vec<u8>) {
        self.files.lock().expect("the files").insert(format!("/{path}"), content);
    }

    /// Takes one away.
    pub fn remove(&self, path: &str) {
        self.files.lock().expect("the files").remove(&format!("/{path}"));
    }

    /// What was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("what was asked").clone()
    }
}

fn serve(
    mut stream: TcpStream,
    files: &Mutex<BTreeMap<String, Vec<u8>>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut field = String::new();
    while reader.read_line(&mut field)? > 2 {
        field.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().expect("what was asked").push(path.clone());
    let content = files.lock().expect("the files").get(&path).cloned();
    let status = if content.is_some() { "200 OK" } else { "404 Not Found" };
    let content = content.unwrap_or_default();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len())?;
    stream.write_all(&content)
}

/// A host that takes connections and never says a word, in the router's namespace.
pub struct Mute {
    _listener: TcpListener,
}

impl Mute {
    /// At the place of [`Web`].
    pub fn start(site: &Site) -> Self {
        address(&site.router);
        let bind = || TcpListener::bind(SocketAddr::from((ADDRESS, WEB_PORT))).expect("listen");
        Self { _listener: site.router.run(bind) }
    }
}

/// `openssl ocsp` as a responder for one authority, in the router's namespace.
pub struct Responder {
    process: Process,
    directory: TempDir,
}

impl Responder {
    /// One that knows which certificates are good and which are revoked, and waits until it listens.
    pub fn start(site: &Site, authority: &Authority, good: &[&Entity], revoked: &[&Entity]) -> Self {
        address(&site.router);
        let directory = tempfile::tempdir().expect("make a directory for the responder");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("ca.pem"), &authority.certificate).expect("write the authority");
        fs::write(path("ca.key"), &authority.key).expect("write the authority's key");
        let line = |status: &str, revocation: &str, entity: &Entity| {
            let serial = format!("{:02X}", entity.serial);
            let serial = if serial.len() % 2 == 1 { format!("0{serial}") } else { serial };
            format!("{status}\t491231235959Z\t{revocation}\t{serial}\tunknown\t/CN={}\n", entity.serial)
        };
        let good = good.iter().map(|entity| line("V", "", entity));
        let revoked = revoked.iter().map(|entity| line("R", "250101000000Z,keyCompromise", entity));
        let index: String = good.chain(revoked).collect();
        fs::write(path("index.txt"), index).expect("write the index");
        let mut command = site.router.command("openssl");
        command.args(["ocsp", "-port", &OCSP_PORT.to_string(), "-ndays", "1", "-ignore_err", "-text"]);
        for (option, file) in
            [("-index", "index.txt"), ("-CA", "ca.pem"), ("-rsigner", "ca.pem"), ("-rkey", "ca.key")]
        {
            command.arg(option).arg(path(file));
        }
        let process = Process::start(&mut command, &path("ocsp.log"));
        let mut responder = Self { process, directory };
        responder.await_port(site);
        responder
    }

    /// Where it is asked.
    pub fn url() -> String {
        format!("http://{ADDRESS}:{OCSP_PORT}/")
    }

    /// Its address.
    pub fn address() -> Ipv4Addr {
        ADDRESS
    }

    /// How many questions it was asked.
    pub fn asked(&self) -> usize {
        let log = fs::read_to_string(self.directory.path().join("ocsp.log")).unwrap_or_default();
        log.matches("Received request").count()
    }

    fn await_port(&mut self, site: &Site) {
        wait_until(Duration::from_secs(10), "the OCSP responder to listen", || {
            if let Some(status) = self.process.ended() {
                panic!("openssl ocsp ended at its start: {status}");
            }
            let listening = format!(":{OCSP_PORT} ");
            super::process::run(site.router.command("ss").args(["-Hltn"])).contains(&listening)
        });
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_tail("the OCSP responder", &self.directory.path().join("ocsp.log"));
        }
    }
}
