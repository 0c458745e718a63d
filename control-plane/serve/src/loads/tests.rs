use super::*;

fn report(cluster: &str, address: &str, ok: u64, errors: u64, in_progress: u64) -> endpoint::ClusterStats {
    let socket = core::SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(80)),
        ..Default::default()
    };
    let stats = endpoint::UpstreamEndpointStats {
        address: Some(core::Address { address: Some(core::address::Address::SocketAddress(socket)) }),
        total_successful_requests: ok,
        total_error_requests: errors,
        total_requests_in_progress: in_progress,
        ..Default::default()
    };
    let locality =
        endpoint::UpstreamLocalityStats { upstream_endpoint_stats: vec![stats], ..Default::default() };
    endpoint::ClusterStats {
        cluster_name: cluster.to_owned(),
        upstream_locality_stats: vec![locality],
        ..Default::default()
    }
}

#[test]
fn reports_of_several_nodes_are_summed_per_endpoint() {
    let loads = Loads::default();
    loads.add("a", &[report("c", "10.0.0.1", 5, 1, 2)]);
    loads.add("a", &[report("c", "10.0.0.1", 4, 0, 3)]);
    loads.add("b", &[report("c", "10.0.0.1", 1, 0, 1), report("c", "10.0.0.2", 7, 0, 0)]);
    let sums = loads.sums();
    assert_eq!(sums.len(), 2);
    assert_eq!(
        (sums[0].endpoint.as_str(), sums[0].requests, sums[0].errors, sums[0].in_progress),
        ("10.0.0.1:80", 11, 1, 4)
    );
    loads.leave("a");
    assert_eq!((loads.sums()[0].requests, loads.sums()[0].errors, loads.sums()[0].in_progress), (11, 1, 1));
}

#[test]
fn a_report_of_a_whole_locality_has_no_endpoint() {
    let loads = Loads::default();
    let mut whole = report("c", "10.0.0.1", 1, 0, 0);
    whole.upstream_locality_stats[0].upstream_endpoint_stats.clear();
    whole.upstream_locality_stats[0].total_successful_requests = 9;
    loads.add("a", &[whole]);
    assert_eq!((loads.sums()[0].endpoint.as_str(), loads.sums()[0].requests), ("", 9));
}
