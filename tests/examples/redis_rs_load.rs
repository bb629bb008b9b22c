//! redis-rs as the load of a cluster, for `benches/growth`: writes and reads until its standard input ends, then says what
//! it met, and fails if a read ever contradicted what had been acknowledged.
//!
//! ```text
//! cargo run --release -p carousel-tests --example redis_rs_load -- 3 127.0.0.1:7000 127.0.0.1:7001
//! ```

use carousel_tests::Load;
use tokio::io::AsyncReadExt as _;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut words = std::env::args().skip(1);
    let writers = words.next().and_then(|word| word.parse().ok());
    let addresses: Vec<String> = words.collect();
    let (Some(writers), false) = (writers, addresses.is_empty()) else {
        eprintln!("usage: redis_rs_load WRITERS HOST:PORT...");
        std::process::exit(2);
    };
    let load = Load::start_at(addresses.clone(), writers).await;
    println!("running");
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
    let mut met = load.stop().await;
    met.assert_nothing_lost_at(addresses).await;
    println!("keys {} errors {}", met.keys(), met.errors.len());
    met.errors.iter().take(10).for_each(|error| println!("error: {error}"));
}
