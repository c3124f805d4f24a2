//! A link of the demo: what one site asks another goes through here, over a connection of its own, and can be
//! cut and healed.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// Carries connections to `target` for as long as the link is open. One that is cut breaks off what is on its
/// way, and takes nothing new. `healed` is told when it is open again, so that nobody has to wait for the next
/// try.
pub(super) async fn carry(
    listener: TcpListener,
    target: SocketAddr,
    mut open: watch::Receiver<bool>,
    healed: Arc<Notify>,
) {
    loop {
        tokio::select! {
            changed = open.changed() => match changed {
                Ok(()) if *open.borrow_and_update() => healed.notify_one(),
                Ok(()) => {}
                // The demo is over.
                Err(_) => return,
            },
            accepted = listener.accept() => {
                // What fails here fails for whoever asks, who tries again.
                if let Ok((stream, _)) = accepted && *open.borrow() {
                    tokio::spawn(through(stream, target, open.clone()));
                }
            }
        }
    }
}

async fn through(mut from: TcpStream, target: SocketAddr, mut open: watch::Receiver<bool>) {
    let Ok(mut to) = TcpStream::connect(target).await else { return };
    for stream in [&from, &to] {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("TCP_NODELAY could not be set: {error}");
        }
    }
    tokio::select! {
        // Either side may leave at any time.
        _ = copy_bidirectional(&mut from, &mut to) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}
