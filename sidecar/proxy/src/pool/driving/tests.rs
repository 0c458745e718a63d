use super::*;
use proptest::prelude::*;

/// A task whose wake-ups are counted.
#[derive(Default)]
struct Task(std::sync::atomic::AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn task() -> (Arc<Task>, Waker) {
    let task = Arc::new(Task::default());
    (task.clone(), Waker::from(task))
}

#[test]
fn only_what_comes_from_outside_wakes_the_task() {
    let (task, waker) = task();
    let mut cx = Context::from_waker(&waker);
    let (mut inner, mut socket) = (None, None);
    let polled = connection(&mut cx, |cx| {
        inner = Some(cx.waker().clone());
        outside(cx, |cx| socket = Some(cx.waker().clone()));
        Poll::<()>::Pending
    });
    assert!(polled.is_pending());
    inner.unwrap().wake();
    assert_eq!(task.0.load(Relaxed), 0);
    socket.unwrap().wake();
    assert_eq!(task.0.load(Relaxed), 1);
}

#[test]
fn whoever_wakes_itself_is_polled_again() {
    let (task, waker) = task();
    let mut cx = Context::from_waker(&waker);
    let yielding = |cx: &mut Context<'_>| {
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    };
    assert!(connection(&mut cx, yielding).is_pending());
    assert!(handle(&mut cx, yielding).is_pending());
    assert_eq!(task.0.load(Relaxed), 2);
    // A wake-up of before is forgotten.
    assert!(connection(&mut cx, |_| Poll::<()>::Pending).is_pending());
    assert_eq!(task.0.load(Relaxed), 2);
}

#[test]
fn outside_of_a_connection_there_is_nothing_to_replace() {
    let (task, waker) = task();
    outside(&mut Context::from_waker(&waker), |cx| cx.waker().wake_by_ref());
    assert_eq!(task.0.load(Relaxed), 1);
}

/// A stream that takes so many bytes at once.
struct Taking(Vec<u8>, usize);

impl AsyncWrite for Taking {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let taken = buf.len().min(self.1);
        self.0.extend_from_slice(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

proptest! {
    #[test]
    fn gathering_keeps_the_order(bufs in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..5), at_once in 1usize..2000) {
        let all: Vec<u8> = bufs.concat();
        let mut stream = Taking(Vec::new(), at_once);
        let slices: Vec<IoSlice<'_>> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        let Poll::Ready(Ok(written)) = write_gathered(Pin::new(&mut stream), &mut Context::from_waker(Waker::noop()), &slices) else { panic!() };
        prop_assert_eq!(stream.0.as_slice(), &all[..written]);
        prop_assert!(written > 0 || all.is_empty() || bufs.iter().any(Vec::is_empty));
    }
}
