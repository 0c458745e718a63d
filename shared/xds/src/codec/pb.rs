//! Short names for the protobuf packages the codec speaks.

pub(super) use weir_proto::envoy::envoy::config::{
    accesslog::v3 as accesslog, cluster::v3 as cluster, core::v3 as core, endpoint::v3 as endpoint,
    listener::v3 as listener, route::v3 as route,
};
pub(super) use weir_proto::envoy::envoy::extensions::access_loggers::stream::v3 as stream_log;
pub(super) use weir_proto::envoy::envoy::extensions::filters::http::router::v3 as router;
pub(super) use weir_proto::envoy::envoy::extensions::filters::network::{
    http_connection_manager::v3 as hcm, tcp_proxy::v3 as tcp_proxy,
};
pub(super) use weir_proto::envoy::envoy::extensions::load_balancing_policies as lb;
pub(super) use weir_proto::envoy::envoy::extensions::upstreams::http::v3 as upstreams;
pub(super) use weir_proto::envoy::envoy::r#type::{matcher::v3 as matcher, v3 as kind};
pub(super) use weir_proto::envoy::google::protobuf as google;
