//! What one durable, idempotent sale costs the site, without HTTP: CPU time per operation.
//!
//! `cargo run --release -p kontor-site --example writer -- DIR [SKUS] [OPERATIONS]`
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, not a part of the program"
)]

use kontor_core::command::{Command, Idempotency, Inbound, Line, Note, Request};
use kontor_core::id::{Actor, LocationId, RequestId, SiteId, Sku};
use kontor_core::product::Selling;
use kontor_core::quantity::Quantity;
use kontor_core::text::{Reference, Title};
use kontor_site::{Settings, Site};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let main: f64 = stat.split(' ').next().unwrap().parse().unwrap();
    let mut all = 0.0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let stat = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        all += stat.split(' ').next().unwrap().parse::<f64>().unwrap();
    }
    all.max(main) / 1e9
}

fn request(command: Command, key: Option<u64>) -> Request {
    Request {
        command,
        actor: Actor::parse("key:bench").unwrap(),
        request_id: RequestId::parse(format!("{:016x}", key.unwrap_or(0))).unwrap(),
        idempotency: key.map(|key| {
            let mut scope = [0; 16];
            scope[..8].copy_from_slice(&key.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
            scope[8..].copy_from_slice(&key.to_le_bytes());
            Idempotency { scope, fingerprint: [1; 16] }
        }),
        fresh_id: [7; 16],
    }
}

fn line(sku: u64, quantity: u64) -> Line {
    Line {
        sku: Sku::parse(format!("SKU-{sku:07}")).unwrap(),
        location: LocationId::parse("main").unwrap(),
        quantity: Quantity::new(quantity).unwrap(),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let skus: u64 = args.get(2).map_or(10_000, |n| n.parse().unwrap());
    let operations: u64 = args.get(3).map_or(200_000, |n| n.parse().unwrap());
    let settings = Settings {
        data: args[1].clone().into(),
        site: SiteId::parse("main").unwrap(),
        nonce: 1,
        journal: Default::default(),
        tables: Default::default(),
        disk_reserve_bytes: 0,
    };
    let site = Site::open(&settings, |_| {}).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let title = Title::parse("Thing").unwrap();
        let _ =
            site.submit(request(Command::OpenLocation { id: line(0, 1).location, name: title.clone() }, None)).await;
        let seed = |from: u64| {
            let (site, title) = (site.clone(), title.clone());
            async move {
                for sku in (from..skus).step_by(256) {
                    let line = line(sku, 1_000_000);
                    let selling = Selling::default();
                    let create = Command::create_product(None, line.sku.clone(), title.clone(), selling);
                    let _ = site.submit(request(create, None)).await;
                    let receive =
                        Command::Receive { from: Inbound::Delivery, lines: vec![line], note: Note::default() };
                    site.submit(request(receive, None)).await.unwrap();
                }
            }
        };
        let tasks: Vec<_> = (0..256).map(|from| tokio::spawn(seed(from))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        for (name, spread) in [("uniform", skus), ("hot", 1), ("uniform", skus), ("hot", 1)] {
            let (cpu, start) = (cpu_seconds(), std::time::Instant::now());
            let base = site.status().end.seq << 20;
            let tasks: Vec<_> = (0..64_u64)
                .map(|task| {
                    let site = site.clone();
                    tokio::spawn(async move {
                        for n in 0..operations / 64 {
                            let key = base + task * 1_000_000_000 + n;
                            let sku = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) % spread;
                            let reference = Some(Reference::parse(format!("ref-{key:020}")).unwrap());
                            let note = Note { reference, ..Note::default() };
                            let sale = Command::Issue { lines: vec![line(sku, 1)], note };
                            site.submit(request(sale, Some(key))).await.unwrap();
                        }
                    })
                })
                .collect();
            let groups = site.status().end.seq;
            for task in tasks {
                task.await.unwrap();
            }
            let groups = site.status().end.seq - groups;
            let done = (operations / 64 * 64) as f64;
            println!(
                "{name:<8} {:>8.0}/s  {:>6.2} µs CPU per operation  {:>5.1} entries per group",
                done / start.elapsed().as_secs_f64(),
                (cpu_seconds() - cpu) / done * 1e6,
                done / groups as f64
            );
        }
    });
    site.close().unwrap();
}
