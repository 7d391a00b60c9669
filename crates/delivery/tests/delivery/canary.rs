//! Listeners where nobody may ever connect.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpListener},
};

/// Listens on one port of several loopback addresses, as the services beside us do, and counts who came.
pub(crate) struct Canary {
    pub(crate) port: u16,
    listeners: Vec<TcpListener>,
}

impl Canary {
    /// On 127.0.0.1, on three other loopback addresses, and on `::1` where the machine has IPv6.
    pub(crate) fn everywhere() -> Self {
        let mut canary = Self::on(&["127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254"]);
        if let Ok(listener) = TcpListener::bind(("::1", canary.port)) {
            listener.set_nonblocking(true).unwrap();
            canary.listeners.push(listener);
        }
        canary
    }

    pub(crate) fn on(addresses: &[&str]) -> Self {
        let listeners = listen_on_one_port(addresses);
        for listener in &listeners {
            listener.set_nonblocking(true).unwrap();
        }
        Self { port: listeners[0].local_addr().unwrap().port(), listeners }
    }

    /// Connections since the last call. The kernel queues a connection before the connecting side hears of
    /// it, so after an attempt has ended nothing of it can still be on its way here.
    pub(crate) fn connections(&self) -> usize {
        self.listeners.iter().map(drain).sum()
    }
}

fn drain(listener: &TcpListener) -> usize {
    let mut connections = 0;
    loop {
        match listener.accept() {
            Ok(_) => connections += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return connections,
            Err(error) => panic!("canary: {error}"),
        }
    }
}

/// One listener per address, all on the same port, which the kernel picks for the first.
pub(crate) fn listen_on_one_port(addresses: &[&str]) -> Vec<TcpListener> {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    for _ in 0..50 {
        let first = TcpListener::bind(SocketAddr::new(addresses[0], 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let others = addresses[1..].iter().map(|address| TcpListener::bind(SocketAddr::new(*address, port)));
        if let Ok(others) = others.collect::<Result<Vec<_>, _>>() {
            return std::iter::once(first).chain(others).collect();
        }
    }
    panic!("no port is free on all of {addresses:?}");
}
