//! Records that are refused while the rest of their request is taken: when they go again, and what that does to the pace.

use super::*;

/// How many of four requests may still be under way at once after so many of four records were refused for want of
/// capacity, and then taken.
async fn limit_after_refusals(count: u32) -> u64 {
    let answers = vec![refused(0..count)];
    let world = run_in_lanes(1, 4, RetryLimit::Unset, answers, &[0..4]).await;
    world.assert_settled(4);
    world.concurrency_limit()
}

/// With the waits of our own.
fn quick(limit: RetryLimit) -> RunnerSettings {
    RunnerSettings {
        backoff: Backoff { configured: None },
        ..settings(limit)
    }
}

#[tokio::test(start_paused = true)]
async fn only_most_of_a_request_refused_brings_concurrency_down() {
    assert_eq!(limit_after_refusals(1).await, 4);
    assert_eq!(limit_after_refusals(2).await, 4, "half of it was taken");
    assert_eq!(limit_after_refusals(3).await, 2);
    assert_eq!(limit_after_refusals(4).await, 2);
}

/// So many records of a request, refused for want of capacity.
fn refused(records: Range<u32>) -> Answer {
    Answer::Except {
        records: records
            .map(|record| (record, RecordAnswer::Again))
            .collect(),
        why: "Slow down.".into(),
        throttled: true,
    }
}

/// Sends one request of ten records to an output that answers like this. Returns how long it took until all were delivered,
/// and how many of four requests may then be under way at once.
async fn took_with(limit: RetryLimit, answers: Vec<Answer>) -> (Duration, u64) {
    let begin = Instant::now();
    let world = run_by(quick(limit), (10, 1), answers, &[0..10]).await;
    world.assert_settled(10);
    assert_eq!(world.counters.dropped.get(), 0);
    (begin.elapsed(), world.concurrency_limit())
}

#[tokio::test(start_paused = true)]
async fn a_few_refused_records_are_sent_again_soon() {
    // Three of ten, one of the three, and this one alone twice more: 20, 40, 120 and 320 ms at most.
    let rounds = || vec![refused(0..3), refused(1..2), refused(0..1), refused(0..1)];
    let (took, limit) = took_with(RetryLimit::Unset, rounds()).await;
    assert!(
        took >= Duration::from_millis(250) && took <= Duration::from_millis(505),
        "{took:?}"
    );
    assert_eq!(limit, 4, "the service took nine of ten");
    // Most of the request: as long as a whole one.
    let (took, limit) = took_with(RetryLimit::Unset, vec![refused(0..6)]).await;
    assert!(took >= Duration::from_millis(250), "{took:?}");
    assert_eq!(limit, 2);
    // Quick retries would use a limit up.
    let (took, _) = took_with(RetryLimit::Limited(4), rounds()).await;
    assert!(took >= Duration::from_millis(4 * 250), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn records_that_are_refused_in_several_requests_are_sent_again_together() {
    // One record of each of three requests is refused; nothing was open meanwhile that they would have to seal.
    let answers = vec![refused(1..2), refused(2..3), refused(3..4)];
    let world = run_by(quick(RetryLimit::Unset), (4, 0), answers, &[0..12]).await;
    let sent = world.sent();
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    assert_eq!(sent[..3], ["0 1 2 3", "4 5 6 7", "8 9 10 11"]);
    let mut again: Vec<&str> = sent[3..].iter().flat_map(|body| body.split(' ')).collect();
    again.sort_unstable();
    assert_eq!((sent.len(), again), (4, vec!["1", "11", "6"]));
    world.assert_settled(12);
}

#[test]
fn waits_grow_only_while_nothing_is_taken() {
    let partly = Tries::default().after(false).after(false).after(true);
    assert_eq!((partly.retries, partly.stalls), (3, 1));
    let refused = partly.after(false);
    assert_eq!(
        (refused.retries, refused.stalls),
        (4, 2),
        "not as after four"
    );
}
