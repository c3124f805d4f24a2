//! A network between two servers that can be cut, stopped dead and healed.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

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
}

/// A proxy before one server. Ends with the process.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wires: Arc<Wires>,
}

struct Wires {
    network: Mutex<Network>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Carries connections to `target`, which need not listen yet.
    pub(crate) fn before(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let wires =
            Arc::new(Wires { network: Mutex::new(Network::Open), changed: Condvar::new(), open: Mutex::default() });
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
        if network == Network::Cut {
            for stream in self.wires.open.lock().expect("no thread panics").drain(..) {
                stream.shutdown(Shutdown::Both).ok();
            }
        }
    }
}

/// Carries one connection in both directions.
fn carry(wires: &Arc<Wires>, from: TcpStream, target: SocketAddr) {
    if *wires.network.lock().expect("no thread panics") == Network::Cut {
        return;
    }
    let Ok(to) = TcpStream::connect_timeout(&target, HANG) else { return };
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket can be shared");
    let mut open = wires.open.lock().expect("no thread panics");
    open.extend([clone(&from), clone(&to)]);
    for (mut source, mut sink) in [(clone(&from), clone(&to)), (to, from)] {
        let wires = Arc::clone(wires);
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(read @ 1..) = source.read(&mut buffer) {
                let network = wires.network.lock().expect("no thread panics");
                // What has come while the network is dead waits until it is not.
                drop(wires.changed.wait_while(network, |network| *network == Network::Dead).expect("no thread panics"));
                if sink.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            sink.shutdown(Shutdown::Both).ok();
        });
    }
}
