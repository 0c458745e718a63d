use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::Mutex;

use super::*;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn http(status: u16) -> AccessRecord {
    AccessRecord::Http(HttpAccess {
        start_unix_nanos: 1_700_000_000_123_456_789,
        direction: "outbound",
        method: "GET".into(),
        authority: "reviews".into(),
        path: "/a\"\n".into(),
        protocol: "HTTP/1.1",
        status: Some(status),
        duration_micros: 1234,
        upstream_micros: Some(1000),
        bytes_sent: 80,
        peer: "127.0.0.1:4000".parse().ok(),
        trace_id: Some(0xabc),
        ..HttpAccess::default()
    })
}

fn entry(record: AccessRecord) -> Entry {
    Entry { layout: Arc::default(), record, seen: Seen::default() }
}

#[tokio::test]
async fn a_line_of_json_for_each_record() {
    let page = Page::default();
    let (log, handle) = AccessLog::start(page.clone(), io::sink(), 100).unwrap();
    assert!(log.try_send(entry(http(200))));
    assert!(log.clone().try_send(entry(AccessRecord::Tcp(TcpAccess {
        direction: "inbound",
        duration_micros: 5,
        cluster: "db".into(),
        ..TcpAccess::default()
    }))));
    assert!(handle.flush(Duration::from_secs(10)).await);
    let text = String::from_utf8(page.0.lock().clone()).unwrap();
    let expected = [
        concat!(
            r#"{"type":"http","time":"2023-11-14T22:13:20.123456Z","direction":"outbound","method":"GET","#,
            r#""authority":"reviews","path":"/a\"\n","protocol":"HTTP/1.1","status":200,"duration_micros":1234,"#,
            r#""upstream_micros":1000,"bytes_received":0,"bytes_sent":80,"peer":"127.0.0.1:4000","retries":0,"#,
            r#""trace_id":"00000000000000000000000000000abc"}"#
        ),
        concat!(
            r#"{"type":"tcp","time":"1970-01-01T00:00:00.000000Z","direction":"inbound","duration_micros":5,"#,
            r#""bytes_received":0,"bytes_sent":0,"cluster":"db"}"#
        ),
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert_eq!(handle.dropped(), 0);
}

/// Writes nothing until told to.
struct Stuck(SyncSender<()>, Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(());
        let _ = self.1.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_writer_that_is_stuck_costs_records_not_requests() {
    let (began, writing) = sync_channel(1);
    let (release, go) = sync_channel(0);
    let (log, handle) = AccessLog::start(Stuck(began, go), io::sink(), 8).unwrap();
    log.try_send(entry(http(200)));
    assert!(!handle.flush(Duration::from_millis(500)).await, "flushing is bounded");
    writing.recv().unwrap();
    let taken = (0..50).filter(|_| log.try_send(entry(http(200)))).count();
    assert_eq!(taken, 8, "the queue's bound");
    assert_eq!((handle.dropped(), handle.dropped_reader()()), (42, 42));
    drop(release);
    assert!(handle.flush(Duration::from_secs(10)).await);
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn records_that_cannot_be_written_are_counted() {
    let (log, handle) = AccessLog::start(Full, io::sink(), 8).unwrap();
    log.try_send(entry(http(200)));
    log.try_send(entry(http(500)));
    assert!(handle.flush(Duration::from_secs(10)).await);
    assert_eq!(handle.dropped(), 2);
    assert!(!AccessLog::disabled().try_send(entry(http(200))));
}

#[tokio::test]
async fn what_is_queued_is_written_when_the_handle_is_dropped() {
    let page = Page::default();
    let (log, handle) = AccessLog::start(page.clone(), io::sink(), 8).unwrap();
    log.try_send(entry(http(200)));
    drop(handle);
    for _ in 0..1000 {
        if !page.0.lock().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing was written");
}

#[test]
fn dates_are_right_across_leap_years() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (951_782_399, "2000-02-28T23:59:59.000000Z"),
        (951_782_400, "2000-02-29T00:00:00.000000Z"),
        (951_868_800, "2000-03-01T00:00:00.000000Z"),
        (1_709_164_800, "2024-02-29T00:00:00.000000Z"),
        (1_735_689_599, "2024-12-31T23:59:59.000000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
    ] {
        assert_eq!(rfc3339(seconds * 1_000_000_000).to_string(), text);
    }
    assert_eq!(rfc3339(u64::MAX).to_string(), "2554-07-21T23:34:33.709551Z");
}

#[test]
fn texts_are_bounded() {
    let mut record =
        AccessRecord::Http(HttpAccess { path: "p".repeat(9000).into(), ..HttpAccess::default() });
    record.bound();
    let AccessRecord::Http(http) = record else { panic!() };
    assert_eq!(http.path.len(), crate::span::MAX_TEXT);
}
