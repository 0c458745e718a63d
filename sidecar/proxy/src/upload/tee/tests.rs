use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Wake;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn next(copy: &mut Copied) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    copy.poll_frame(&mut Context::from_waker(Waker::noop()))
}

fn data(bytes: usize) -> Frame<Bytes> {
    Frame::data(Bytes::from(vec![7; bytes]))
}

#[test]
fn frames_come_in_order_and_wake_the_reader() {
    let (tee, mut copy) = tee(Some(5));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert!(copy.poll_frame(&mut Context::from_waker(&waker)).is_pending());
    tee.offer(&data(2));
    assert_eq!(woken.0.load(Relaxed), 1);
    tee.offer(&data(3));
    tee.end();
    assert_eq!(copy.size_hint().exact(), Some(5));
    assert!(!copy.is_end());
    for length in [2, 3] {
        let Poll::Ready(Some(Ok(frame))) = next(&mut copy) else { panic!("a frame") };
        assert_eq!(frame.data_ref().map(Bytes::len), Some(length));
    }
    assert!(copy.is_end() && !copy.watch().is_cut());
    assert!(matches!(next(&mut copy), Poll::Ready(None)));
}

#[test]
fn a_copy_that_lags_is_cut_and_holds_nothing() {
    let (tee, mut copy) = tee(None);
    let watch = copy.watch();
    tee.offer(&data(limits::MIRROR_BODY_BYTES));
    assert!(!watch.is_cut());
    tee.offer(&data(1));
    assert!(watch.is_cut());
    assert_eq!(copy.shared.borrow().waiting.len(), 0);
    assert!(matches!(next(&mut copy), Poll::Ready(Some(Err(_)))));
}

#[test]
fn a_copy_that_keeps_up_may_be_of_any_length() {
    let (tee, mut copy) = tee(None);
    for _ in 0..16 {
        tee.offer(&data(limits::MIRROR_BODY_BYTES));
        assert!(matches!(next(&mut copy), Poll::Ready(Some(Ok(_)))));
    }
    tee.end();
    assert!(matches!(next(&mut copy), Poll::Ready(None)));
}

#[test]
fn an_original_that_breaks_off_cuts_the_copy() {
    let (tee, mut copy) = tee(Some(10));
    tee.offer(&data(4));
    drop(tee);
    assert!(matches!(next(&mut copy), Poll::Ready(Some(Err(_)))));
}

#[test]
fn nothing_waits_for_a_reader_that_is_gone() {
    let (tee, copy) = tee(None);
    tee.offer(&data(4));
    drop(copy);
    tee.offer(&data(4));
    assert_eq!(tee.0.borrow().waiting.len(), 0);
}

/// A body that comes in tiny pieces takes no more memory than others.
#[test]
fn a_copy_of_many_pieces_is_cut_whatever_their_length() {
    let (tee, copy) = tee(None);
    let watch = copy.watch();
    for _ in 0..limits::BODY_PIECES {
        tee.offer(&data(1));
    }
    assert!(!watch.is_cut());
    tee.offer(&data(1));
    assert!(watch.is_cut());
}

/// A small piece of a large buffer does not hold on to all of it.
#[test]
fn small_pieces_are_kept_apart_from_what_they_were_read_into() {
    let read = Bytes::from(vec![7; 16 * 1024]);
    let (small, large) = (read.slice(..100), read.slice(100..));
    assert_ne!(crate::upload::apart(&small).as_ptr(), small.as_ptr());
    assert_eq!(crate::upload::apart(&small), small);
    assert_eq!(crate::upload::apart(&large).as_ptr(), large.as_ptr());
}
