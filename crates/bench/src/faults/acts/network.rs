//! Networks that lose, hold and cut.

use std::time::{Duration, Instant};

use super::super::namespace::NetworkNamespace;
use super::super::proxy::{Proxy, Toxic};
use super::super::sender::Sender;
use super::super::stage::{Outcome, RATE, Stage, Stop};
use crate::Faults;
use crate::generate::Address;

/// N1: the only interface of the router's network namespace goes down, and comes up again.
pub fn partition(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let network = NetworkNamespace::new().map_err(Stop::Skipped)?;
    let listener = network.listen()?;
    let proxy = Proxy::on(listener, sink.target().address)?;
    let target = sink.behind(proxy.address());
    let mut journal = stage.journal("app.log")?;
    let enter = network.enter();
    let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
    let mut router = stage.router_by(&enter, &stage.post(&target))?;
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    let before = router.resident_kib();
    network.set_up(false)?;
    journal.write_for(stage.load(), RATE)?;
    let during = router.resident_kib();
    network.set_up(true)?;
    stage.must(
        during < before + (64 << 10),
        &format!("memory grew from {} to {} MiB", before >> 10, during >> 10),
    );
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// N2: connections are open and nothing passes; the router neither waits for ever nor spins.
pub fn half_open(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let (proxy, target) = stage.proxy(&sink)?;
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&stage.post(&target))?;
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    proxy.set(Toxic::Stall);
    journal.write_for(Duration::from_secs(1), RATE)?;
    let (cpu, start) = (router.cpu(), Instant::now());
    std::thread::sleep(stage.load());
    let share = (router.cpu() - cpu).as_secs_f64() / start.elapsed().as_secs_f64();
    stage.must(
        share < 0.05,
        &format!("it used {:.0} % of a core", share * 100.0),
    );
    proxy.set(Toxic::None);
    let played = stage.settle_tail(&sink, &mut journal, router, Instant::now())?;
    // The service may have had requests whose answers were held for too long.
    Ok(played.may_repeat(2 * RATE))
}

/// N4: connections are reset at bytes all over requests and answers.
pub fn cut_at_bytes(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let (proxy, target) = stage.proxy(&sink)?;
    let mut journal = stage.journal("app.log")?;
    let router = stage.router(&stage.post(&target).service(&["Flush 0.2"]))?;
    let mut may_repeat = 0;
    for exponent in 0..14 {
        for (toxic, lines) in [
            (Toxic::CutRequest(1 << exponent), 0),
            (Toxic::CutAnswer(1 << exponent), 500),
        ] {
            proxy.once(toxic);
            journal.write_for(Duration::from_millis(300), 1000)?;
            may_repeat += lines;
        }
    }
    proxy.set(Toxic::None);
    stage.must(proxy.acted() > 10, &format!("only {} cuts", proxy.acted()));
    let played = stage.settle_tail(&sink, &mut journal, router, Instant::now())?;
    Ok(played.may_repeat(may_repeat))
}

/// N5: answers come a byte at a time.
pub fn slow_answers(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let (proxy, target) = stage.proxy(&sink)?;
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&stage.post(&target))?;
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    proxy.set(Toxic::Slow(Duration::from_secs(1)));
    journal.write_for(stage.load(), RATE)?;
    proxy.set(Toxic::None);
    let played = stage.settle_tail(&sink, &mut journal, router, Instant::now())?;
    Ok(played.may_repeat(2 * RATE))
}

/// N18: acknowledgements get lost, and the sender sends its chunks again.
pub fn acknowledgements_lost(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let port = crate::free_port()?;
    let listen = format!("Port {port}");
    let configuration = super::kill::stored(stage).section(
        "INPUT",
        "forward",
        &["Listen 127.0.0.1", &listen, "storage.type filesystem"],
    );
    let configuration = configuration.firehose(sink.target(), &[]);
    let mut router = stage.router(&configuration)?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    router.until("it listens", Duration::from_secs(20), |_| {
        std::net::TcpStream::connect(address).is_ok()
    })?;
    let proxy = Proxy::start(address)?;
    let sender = Sender::to(Address::Tcp(proxy.address().to_string()), RATE)?;
    for _ in 0..5 {
        std::thread::sleep(stage.load() / 5);
        proxy.once(Toxic::DropAnswer);
    }
    std::thread::sleep(Duration::from_secs(1));
    let sent = sender.finish(&mut router)?;
    stage.must(sent.resent > 0, "nothing was sent again");
    stage.settle(&sink, &sent, router, Instant::now())
}
