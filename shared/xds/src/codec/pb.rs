//! Short names for the protobuf packages the codec speaks.

pub(super) use weir_proto::envoy::envoy::config::{
    accesslog::v3 as accesslog, cluster::v3 as cluster, core::v3 as core, endpoint::v3 as endpoint,
    listener::v3 as listener, route::v3 as route,
};
pub(super) use weir_proto::envoy::envoy::extensions::access_loggers::{
    file::v3 as file_log, stream::v3 as stream_log,
};
pub(super) use weir_proto::envoy::envoy::extensions::common::ratelimit::v3 as descriptors;
pub(super) use weir_proto::envoy::envoy::extensions::filters::common::fault::v3 as common_fault;
pub(super) use weir_proto::envoy::envoy::extensions::filters::http::router::v3 as router;
pub(super) use weir_proto::envoy::envoy::extensions::filters::http::stateful_session::v3 as stateful_session;
pub(super) use weir_proto::envoy::envoy::extensions::filters::http::{
    buffer::v3 as buffer, cors::v3 as cors, fault::v3 as http_fault, local_ratelimit::v3 as local_ratelimit,
};
pub(super) use weir_proto::envoy::envoy::extensions::filters::listener::http_inspector::v3 as http_inspector;
pub(super) use weir_proto::envoy::envoy::extensions::filters::listener::tls_inspector::v3 as tls_inspector;
pub(super) use weir_proto::envoy::envoy::extensions::filters::network::{
    http_connection_manager::v3 as hcm, tcp_proxy::v3 as tcp_proxy,
};
pub(super) use weir_proto::envoy::envoy::extensions::http::stateful_session::cookie::v3 as cookie_session;
pub(super) use weir_proto::envoy::envoy::extensions::load_balancing_policies as lb;
pub(super) use weir_proto::envoy::envoy::extensions::retry::host::previous_hosts::v3 as previous_hosts;
pub(super) use weir_proto::envoy::envoy::extensions::upstreams::http::v3 as upstreams;
pub(super) use weir_proto::envoy::envoy::r#type::{
    http::v3 as http_kind, matcher::v3 as matcher, v3 as kind,
};
pub(super) use weir_proto::envoy::google::protobuf as google;
