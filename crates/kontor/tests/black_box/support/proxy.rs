//! A network between two servers: cut, dead, slow, and what else becomes of networks.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::HANG;

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// It carries everything.
    Open,
    /// Connections are broken off, and new ones too.
    Cut,
    /// Connections stay, and nothing is carried over them.
    Dead,
    /// What callers say is carried, and no answer.
    OneWay,
    /// Connections are taken, and lead nowhere.
    HalfOpen,
    /// Every second connection is broken off, the others after some pieces.
    Flapping,
    /// Little at a time, with a wait before each piece.
    Slow,
    /// Answers are broken off in the middle of what is long.
    Truncated,
}

impl Network {
    /// Whether a piece waits until the network is another one.
    fn holds(self, is_answer: bool) -> bool {
        self == Network::Dead || (self == Network::OneWay && is_answer)
    }

    /// Bytes of a connection after which it is broken off: more than one answer with groups has, so that some come.
    fn breaks_after(self, is_answer: bool) -> usize {
        match self {
            Network::Truncated if is_answer => 150_000,
            Network::Flapping => 200_000,
            _ => usize::MAX,
        }
    }
}

/// Bytes of a piece on a slow network, and the wait before it: some 500 KiB a second.
const SLOW: (usize, Duration) = (1 << 10, Duration::from_millis(2));

/// A proxy before one server. Ends with the process.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wires: Arc<Wires>,
}

struct Wires {
    network: Mutex<Network>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
    /// Connections so far.
    taken: AtomicU64,
}

impl Proxy {
    /// Carries connections to `target`, which need not listen yet.
    pub(crate) fn before(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let wires = Arc::new(Wires {
            network: Mutex::new(Network::Open),
            changed: Condvar::new(),
            open: Mutex::default(),
            taken: AtomicU64::new(0),
        });
        let carried = Arc::clone(&wires);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                carry(&carried, stream, target);
            }
        });
        Proxy { address, wires }
    }

    pub(crate) fn set(&self, network: Network) {
        *self.wires.network.lock().expect("no thread panics") = network;
        self.wires.changed.notify_all();
        if matches!(network, Network::Cut | Network::HalfOpen) {
            for stream in self.wires.open.lock().expect("no thread panics").drain(..) {
                stream.shutdown(Shutdown::Both).ok();
            }
        }
    }
}

/// Carries one connection in both directions.
fn carry(wires: &Arc<Wires>, from: TcpStream, target: SocketAddr) {
    let network = *wires.network.lock().expect("no thread panics");
    let number = wires.taken.fetch_add(1, Ordering::Relaxed);
    if network == Network::Cut || (network == Network::Flapping && number.is_multiple_of(2)) {
        return;
    }
    if network == Network::HalfOpen {
        let wires = Arc::clone(wires);
        thread::spawn(move || {
            let network = wires.network.lock().expect("no thread panics");
            drop(wires.changed.wait_while(network, |network| *network == Network::HalfOpen).expect("no thread panics"));
            drop(from);
        });
        return;
    }
    let Ok(to) = TcpStream::connect_timeout(&target, HANG) else { return };
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    let mut open = wires.open.lock().expect("no thread panics");
    open.extend([clone(&from), clone(&to)]);
    for (source, sink, is_answer) in [(clone(&from), clone(&to), false), (to, from, true)] {
        let wires = Arc::clone(wires);
        thread::spawn(move || pass(&wires, source, sink, is_answer));
    }
}

/// Passes on what comes in one direction, as the network lets it.
fn pass(wires: &Wires, mut source: TcpStream, mut sink: TcpStream, is_answer: bool) {
    let mut buffer = [0; 16 << 10];
    let mut passed = 0;
    while let Ok(read @ 1..) = source.read(&mut buffer) {
        for piece in buffer[..read].chunks(SLOW.0) {
            let mut network = wires.network.lock().expect("no thread panics");
            // What has come while nothing is carried waits until it is.
            network = wires.changed.wait_while(network, |network| network.holds(is_answer)).expect("no thread panics");
            if *network == Network::Slow {
                network = wires.changed.wait_timeout(network, SLOW.1).expect("no thread panics").0;
            }
            let most = network.breaks_after(is_answer);
            drop(network);
            passed += piece.len();
            if sink.write_all(piece).is_err() || passed > most {
                sink.shutdown(Shutdown::Both).ok();
                source.shutdown(Shutdown::Both).ok();
                return;
            }
        }
    }
    sink.shutdown(Shutdown::Both).ok();
}
