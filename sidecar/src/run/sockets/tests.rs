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
    let sockets = Sockets::bind(&options(line)).unwrap();
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
    let error = format!("{:#}", Sockets::bind(&options(&line)).unwrap_err());
    assert!(error.starts_with("--outbound: cannot listen on 127.0.0.1:"), "{error}");
}
