use super::*;
use crate::arguments::Arguments;
use clap::Parser;

fn options(line: &str) -> Options {
    let words =
        ["weir-sidecar", "--xds", "127.0.0.1:1", "--service", "reviews", "--admin-listen", "127.0.0.1:0"];
    Arguments::try_parse_from(words.into_iter().chain(line.split_whitespace())).unwrap().check(2).unwrap()
}

#[test]
fn every_worker_gets_a_share_of_every_listener() {
    let line = "--inbound 127.0.0.1:0=8080 --inbound http=0.0.0.0:0=8081 --advertise 10.0.0.7 --outbound :0 \
                --outbound-tcp :0=postgres.data:5432 --workers 3";
    let sockets = Sockets::bind(&options(line), Vec::new()).unwrap();
    assert_eq!(sockets.workers.len(), 3);
    let addresses = |worker: &Vec<Entrance>| -> Vec<SocketAddr> {
        worker.iter().map(|entrance| entrance.socket.local_addr().unwrap()).collect()
    };
    let first = addresses(&sockets.workers[0]);
    assert_eq!(first.len(), 4);
    assert!(sockets.workers.iter().all(|worker| addresses(worker) == first));
    assert_eq!(sockets.inbound[0].listen, first[0]);
    let reached = SocketAddr::new("10.0.0.7".parse().unwrap(), first[1].port());
    assert_eq!(sockets.inbound[1].listen, reached);
    assert_eq!(sockets.bound, BTreeMap::from([(reached, first[1])]));
    let ways: Vec<_> =
        sockets.workers[1].iter().map(|entrance| (entrance.inbound, entrance.on_demand)).collect();
    assert_eq!(ways, [(true, false), (true, false), (false, true), (false, false)]);
    assert_eq!(sockets.outbound, Some(first[2]));
    assert_eq!(sockets.outbound_tcp, BTreeMap::from([(first[3], "postgres.data:5432".to_owned())]));
    assert_eq!(sockets.required, first[..3]);
    let expected = format!(
        "weir-sidecar listening inbound={} inbound={} outbound={} outbound-tcp={} admin={}",
        first[0], first[1], first[2], first[3], sockets.admin.1
    );
    assert_eq!(sockets.announcement, expected);
}

#[test]
fn a_port_that_is_taken_is_named_with_its_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!("--outbound {}", taken.local_addr().unwrap());
    let error = format!("{:#}", Sockets::bind(&options(&line), Vec::new()).unwrap_err());
    assert!(error.starts_with("--outbound: cannot listen on 127.0.0.1:"), "{error}");
}

/// How many different sockets listen where a worker's entrances do, and how many entrances there are.
fn entrances(sockets: &Sockets) -> Vec<usize> {
    sockets.workers.iter().map(Vec::len).collect()
}

#[test]
fn a_successor_takes_over_what_it_wants_and_every_socket_has_a_worker() {
    let line =
        "--inbound 127.0.0.1:0=8080 --inbound 127.0.0.1:0=8081 --outbound :0 --handover /run/weir/a.sock";
    let first = Sockets::bind(&options(&format!("{line} --workers 3")), Vec::new()).unwrap();
    assert_eq!(first.kept.len(), 4);
    let again = |kept: &[Listening]| kept.iter().map(|kept| kept.again().unwrap()).collect::<Vec<_>>();
    for (workers, expected) in [(1, vec![9]), (2, vec![6, 3]), (3, vec![3; 3]), (5, vec![3; 5])] {
        let next =
            Sockets::bind(&options(&format!("{line} --workers {workers}")), again(&first.kept)).unwrap();
        assert_eq!(entrances(&next), expected, "{workers} workers");
        assert_eq!(next.announcement, first.announcement, "the same ports in the same order");
        assert_eq!(next.kept.iter().map(|kept| kept.sockets.len()).collect::<Vec<_>>(), [1, 3, 3, 3]);
    }
    // By address too, and what nobody had is bound.
    let address = first.inbound[1].listen;
    let line = format!(
        "--inbound {address}=8081 --outbound-tcp :0=db.data:1 --workers 2 --handover /run/weir/a.sock"
    );
    let next = Sockets::bind(&options(&line), again(&first.kept)).unwrap();
    assert_eq!(next.inbound[0].listen, address);
    assert_eq!(entrances(&next), [3, 2]);
}

#[test]
fn nothing_is_kept_open_where_nobody_may_take_over() {
    let sockets = Sockets::bind(&options("--outbound :0 --workers 2"), Vec::new()).unwrap();
    assert!(sockets.kept.is_empty());
}
