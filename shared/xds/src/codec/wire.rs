//! The small values that many messages share: durations, shares, addresses, names, extensions.

use super::fault::{At, Check, Fault, required};
use super::pb::{core, google, kind};
use prost::{Message, Name};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use weir_model::{Fraction, limits};

/// The longest duration protobuf can carry (`google.protobuf.Duration`), in seconds.
const DURATION_SECONDS: u64 = 315_576_000_000;

/// Packs a message with its type.
pub(super) fn pack<M: Message + Name>(message: &M) -> google::Any {
    google::Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// Unpacks a message that must be of this type.
pub(super) fn unpack<M: Message + Name + Default>(any: &google::Any) -> Check<M> {
    if any.type_url != M::type_url() {
        return Err(Fault::of(
            "type_url",
            format!("{:?} where {:?} is expected", any.type_url, M::type_url()),
        ));
    }
    M::decode(any.value.as_slice())
        .map_err(|error| Fault::new(format!("no valid {}: {error}", M::full_name())))
}

/// A name that is there and not too long.
pub(super) fn name(field: &str, value: &str) -> Check<String> {
    match value.len() {
        0 => Err(Fault::of(field, "empty")),
        1..=limits::NAME_BYTES => Ok(value.to_owned()),
        _ => Err(Fault::of(field, format!("longer than {} bytes", limits::NAME_BYTES))),
    }
}

/// A duration, cut to what protobuf can carry.
pub(super) fn duration(value: Duration) -> google::Duration {
    let seconds = value.as_secs().min(DURATION_SECONDS);
    google::Duration { seconds: seconds as i64, nanos: value.subsec_nanos() as i32 }
}

/// A duration that is not negative.
pub(super) fn from_duration(value: &google::Duration) -> Check<Duration> {
    let seconds = u64::try_from(value.seconds).ok().filter(|seconds| *seconds <= DURATION_SECONDS);
    let nanos = u32::try_from(value.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    match (seconds, nanos) {
        (Some(seconds), Some(nanos)) => Ok(Duration::new(seconds, nanos)),
        _ => Err(Fault::new(format!(
            "{}s {}ns is no duration from 0 to 10 000 years",
            value.seconds, value.nanos
        ))),
    }
}

/// An optional duration.
pub(super) fn optional_duration(field: &str, value: Option<&google::Duration>) -> Check<Option<Duration>> {
    value.map(from_duration).transpose().at(field)
}

/// A limit on time where zero means none, as Envoy has it for timeouts.
pub(super) fn timeout(field: &str, value: Option<&google::Duration>) -> Check<Option<Duration>> {
    Ok(optional_duration(field, value)?.filter(|duration| !duration.is_zero()))
}

/// A wrapped number.
pub(super) fn wrap(value: u32) -> Option<google::UInt32Value> {
    Some(google::UInt32Value { value })
}

/// A share as a fraction of a million.
pub(super) fn fraction(share: Fraction) -> kind::FractionalPercent {
    let denominator = kind::fractional_percent::DenominatorType::Million as i32;
    kind::FractionalPercent { numerator: share.0, denominator }
}

/// A share in any of Envoy's denominators.
pub(super) fn from_fraction(value: &kind::FractionalPercent) -> Check<Fraction> {
    use kind::fractional_percent::DenominatorType::{Hundred, Million, TenThousand};
    let factor = match kind::fractional_percent::DenominatorType::try_from(value.denominator) {
        Ok(Hundred) => 10_000,
        Ok(TenThousand) => 100,
        Ok(Million) => 1,
        Err(_) => return Err(Fault::of("denominator", format!("{} is unknown", value.denominator))),
    };
    // More than everything is everything.
    Ok(Fraction(value.numerator.saturating_mul(factor).min(1_000_000)))
}

/// A share as a percentage. Parts per million survive the way through a double.
pub(super) fn percent(parts_per_million: u32) -> kind::Percent {
    kind::Percent { value: f64::from(parts_per_million) / 10_000.0 }
}

/// A percentage in parts per million.
pub(super) fn from_percent(value: &kind::Percent) -> Check<u32> {
    if (0.0..=100.0).contains(&value.value) {
        Ok((value.value * 10_000.0).round() as u32)
    } else {
        Err(Fault::new(format!("{} is no percentage from 0 to 100", value.value)))
    }
}

/// A TCP address.
pub(super) fn address(address: SocketAddr) -> core::Address {
    let port = core::socket_address::PortSpecifier::PortValue(u32::from(address.port()));
    let socket = core::SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(port),
        ..core::SocketAddress::default()
    };
    core::Address { address: Some(core::address::Address::SocketAddress(socket)) }
}

/// A numeric TCP address.
pub(super) fn from_address(address: &core::Address) -> Check<SocketAddr> {
    use core::address::Address;
    let socket = match address.address.as_ref() {
        Some(Address::SocketAddress(socket)) => socket,
        Some(Address::Pipe(_)) => return Err(Fault::unsupported("pipe")),
        Some(Address::EnvoyInternalAddress(_)) => return Err(Fault::unsupported("envoy_internal_address")),
        None => return Err(Fault::of("socket_address", "missing")),
    };
    from_socket_address(socket).at("socket_address")
}

fn from_socket_address(socket: &core::SocketAddress) -> Check<SocketAddr> {
    super::fault::refuse!(socket; protocol, resolver_name, network_namespace_filepath);
    let ip: IpAddr = socket.address.parse().map_err(|_| {
        Fault::of("address", format!("{:?} is no IP address; names are not resolved", cut(&socket.address)))
    })?;
    match &socket.port_specifier {
        Some(core::socket_address::PortSpecifier::PortValue(port)) => match u16::try_from(*port) {
            Ok(port) => Ok(SocketAddr::new(ip, port)),
            Err(_) => Err(Fault::of("port_value", format!("{port} is above 65535"))),
        },
        Some(core::socket_address::PortSpecifier::NamedPort(_)) => Err(Fault::unsupported("named_port")),
        None => Err(Fault::of("port_value", "missing")),
    }
}

/// The stream this comes on, as the source of what a resource refers to.
pub(super) fn ads() -> Option<core::ConfigSource> {
    use core::config_source::ConfigSourceSpecifier::Ads;
    Some(core::ConfigSource {
        resource_api_version: core::ApiVersion::V3 as i32,
        config_source_specifier: Some(Ads(core::AggregatedConfigSource {})),
        ..core::ConfigSource::default()
    })
}

/// Accepts no other source than the stream itself.
pub(super) fn from_ads(field: &str, source: Option<&core::ConfigSource>) -> Check<()> {
    use core::config_source::ConfigSourceSpecifier::{Ads, Self_};
    match required(field, source)?.config_source_specifier {
        Some(Ads(_) | Self_(_)) => Ok(()),
        _ => Err(Fault::of(field, "only `ads` and `self` are supported")),
    }
}

/// Foreign text in a message of ours: its beginning, so that an error stays short.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(128)]
}
