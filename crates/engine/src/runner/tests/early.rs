//! Requests that go before they are full or `Flush` has passed, because what they hold is in the way.

use super::*;
use crate::storage::{Held, Hold};

#[tokio::test(start_paused = true)]
async fn an_open_request_goes_at_once_when_somebody_waits_for_its_memory() {
    let (memory, ledger) = (Budget::new(10), Ledger::new(0));
    let script = Rc::new(Script::default());
    let settings = RunnerSettings {
        flush: Duration::from_secs(3_600),
        memory: Arc::clone(&memory),
        ..settings(RetryLimit::Unset)
    };
    let output = output(500, 0, &script);
    let (sender, mut receiver) = unbounded_channel();
    let Delivery { batch, receipt } = batch(&ledger, 0..3);
    let mut batch = Arc::into_inner(batch).expect("nobody else has it");
    batch = batch.with_permit(memory.try_take(10).expect("empty"));
    let batch = Arc::new(batch);
    sender.send(Delivery { batch, receipt }).expect("open");
    let begin = Instant::now();
    tokio::select! {
        _ = crate::runner::run(output, &settings, &mut receiver) => unreachable!("deliveries are open"),
        permit = memory.take(5) => assert_eq!(permit.bytes(), 5),
    }
    assert_eq!(begin.elapsed(), Duration::ZERO, "nothing waited for Flush");
    assert_eq!(script.sent.borrow().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_open_request_goes_at_once_when_more_waits_for_the_output() {
    let ledger = Ledger::new(0);
    let script = Rc::new(Script::default());
    let settings = RunnerSettings {
        flush: Duration::from_secs(3_600),
        ..settings(RetryLimit::Unset)
    };
    let output = output(500, 0, &script);
    let held = Arc::new(Held::default());
    settings.oversight.count_in(&held);
    let (sender, mut receiver) = unbounded_channel();
    let Delivery { batch, receipt } = batch(&ledger, 0..3);
    let receipt = receipt.with_guard(Hold::new(&held, 10));
    sender.send(Delivery { batch, receipt }).expect("open");
    let asked = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(script.sent.borrow().is_empty(), "it waits for Flush");
        held.ask_for_room(Some(5));
        held.has_changed().await;
    };
    let begin = Instant::now();
    tokio::select! {
        _ = crate::runner::run(output, &settings, &mut receiver) => unreachable!("deliveries are open"),
        () = asked => {}
    }
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
    assert_eq!((script.sent.borrow().len(), held.bytes()), (1, 0));
}
