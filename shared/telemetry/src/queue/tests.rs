use super::*;

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_dropped_and_counted() {
    let (sink, mut source) = bounded(4, 4);
    let sent: Vec<bool> = (0..6).map(|i| sink.offer(i)).collect();
    assert_eq!(sent, [true, true, true, true, false, false]);
    let dropped = source.dropped();
    assert_eq!(dropped.get(), 2);
    let mut batch = vec![];
    source.take(&mut batch, 3);
    assert_eq!(batch, [0, 1, 2]);
    assert!(sink.offer(9) && source.len() == 2);
    drop(sink);
    assert!(!source.is_over());
    source.take(&mut batch, 100);
    assert_eq!(batch, [0, 1, 2, 3, 9]);
    assert!(source.is_over());
}

#[tokio::test(start_paused = true)]
async fn the_reader_is_woken_by_a_quarter_of_a_batch_not_by_each_item() {
    let (sink, source) = bounded(1000, 64);
    let wait = Duration::from_secs(3600);
    for _ in 0..15 {
        sink.offer(());
    }
    let start = tokio::time::Instant::now();
    source.ready(wait).await;
    assert_eq!(start.elapsed(), wait, "fifteen of sixty-four do not wake the reader");
    sink.offer(());
    source.ready(wait).await;
    assert_eq!(start.elapsed(), wait, "the sixteenth does");
}

#[test]
fn a_reader_that_is_gone_makes_every_item_a_drop() {
    let (sink, source) = bounded(4, 4);
    let dropped = source.dropped();
    drop(source);
    assert!(!sink.offer(1) && !sink.clone().offer(2));
    assert_eq!(dropped.get(), 2);
}
