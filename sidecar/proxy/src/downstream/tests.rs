use super::*;
use std::sync::Arc;
use std::time::Duration;

use weir_config::{Demand, Snapshot};
use weir_runtime::drain::Drain;

fn on_a_worker(test: impl FnOnce(Rc<Worker>)) {
    weir_runtime::workers::runtime().unwrap().block_on(async {
        let drain = Drain::new().signal().worker();
        let telemetry = crate::pinned::tests::telemetry();
        let demand = Demand::detached(false).0;
        let kin = Arc::new(crate::Kin::new(1));
        test(Rc::new(Worker::new(
            0,
            Arc::new(Snapshot::empty()),
            vec![],
            demand,
            drain,
            (1, kin),
            telemetry,
        )));
    });
}

fn downstream(worker: &Rc<Worker>) -> Downstream {
    Downstream::new(worker.clone(), 0, SocketAddr::from(([127, 0, 0, 1], 1)))
}

/// What a sweep that much later orders.
fn ordered(downstream: &Downstream, later: Duration) -> Order {
    downstream.sweep(downstream.worker.recently() + later);
    downstream.order.get()
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    on_a_worker(|worker| {
        let slow = downstream(&worker);
        slow.received();
        assert_eq!(ordered(&slow, limits::HEAD_TIMEOUT - Duration::from_secs(1)), Order::Serve);
        // More bytes of the same head win no time.
        slow.received();
        assert_eq!(ordered(&slow, limits::HEAD_TIMEOUT), Order::Close);
    });
}

#[test]
fn an_idle_connection_finishes_and_a_busy_one_goes_on() {
    on_a_worker(|worker| {
        let idle = downstream(&worker);
        assert_eq!(ordered(&idle, limits::DOWNSTREAM_IDLE - Duration::from_secs(1)), Order::Serve);
        idle.received();
        idle.begin();
        assert_eq!(ordered(&idle, limits::DOWNSTREAM_IDLE * 2), Order::Serve);
        let ended = worker.recently() + limits::DOWNSTREAM_IDLE * 2;
        idle.end(ended);
        idle.sweep(ended + limits::DOWNSTREAM_IDLE / 2);
        assert_eq!(idle.order.get(), Order::Serve);
        idle.sweep(ended + limits::DOWNSTREAM_IDLE);
        assert_eq!(idle.order.get(), Order::Finish);
    });
}

#[test]
fn orders_only_get_stricter() {
    on_a_worker(|worker| {
        let connection = downstream(&worker);
        connection.order(Order::Close);
        connection.order(Order::Finish);
        assert_eq!(connection.order.get(), Order::Close);
    });
}
