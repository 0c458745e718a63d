//! Faults: Envoy's `fault`.

use super::super::fault::{At, Check, Fault, each, refuse};
use super::super::pb::{common_fault, http_fault, kind};
use super::super::{matches, wire};
use common_fault::fault_delay::FaultDelaySecifier;
use http::StatusCode;
use http_fault::fault_abort::ErrorType;
use weir_model::{Abort, AbortAnswer, Delay, Fraction, limits};

/// The message of a fault.
pub(super) fn encode(fault: &weir_model::Fault) -> http_fault::HttpFault {
    http_fault::HttpFault {
        delay: fault.delay.as_ref().map(|delay| common_fault::FaultDelay {
            percentage: Some(wire::fraction(delay.fraction)),
            fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(wire::duration(delay.duration))),
        }),
        abort: fault.abort.as_ref().map(|abort| http_fault::FaultAbort {
            percentage: Some(wire::fraction(abort.fraction)),
            error_type: Some(match abort.answer {
                AbortAnswer::Http(status) => ErrorType::HttpStatus(u32::from(status.as_u16())),
                AbortAnswer::Grpc(status) => ErrorType::GrpcStatus(u32::from(status)),
            }),
            ..http_fault::FaultAbort::default()
        }),
        headers: fault.headers.iter().map(matches::header_match).collect(),
        ..http_fault::HttpFault::default()
    }
}

/// The fault of a message. Runtime keys are switches inside one Envoy; what is written beside them is what everybody else has.
pub(super) fn decode(message: &http_fault::HttpFault) -> Check<weir_model::Fault> {
    refuse!(message; upstream_cluster, downstream_nodes, max_active_faults, response_rate_limit);
    Ok(weir_model::Fault {
        headers: each("headers", &message.headers, limits::HEAD_FIELDS, matches::from_header_match)?,
        delay: message.delay.as_ref().map(from_delay).transpose().at("delay")?,
        abort: message.abort.as_ref().map(from_abort).transpose().at("abort")?,
    })
}

fn share(percentage: Option<&kind::FractionalPercent>) -> Check<Fraction> {
    percentage.map_or(Ok(Fraction(0)), |share| wire::from_fraction(share).at("percentage"))
}

fn from_delay(delay: &common_fault::FaultDelay) -> Check<Delay> {
    let fraction = share(delay.percentage.as_ref())?;
    match &delay.fault_delay_secifier {
        Some(FaultDelaySecifier::FixedDelay(duration)) => {
            let duration = wire::from_duration(duration).at("fixed_delay")?;
            if duration > limits::FAULT_DELAY {
                return Err(Fault::of("fixed_delay", format!("longer than {:?}", limits::FAULT_DELAY)));
            }
            Ok(Delay { duration, fraction })
        }
        Some(FaultDelaySecifier::HeaderDelay(_)) => Err(Fault::unsupported("header_delay")),
        None => Err(Fault::of("fixed_delay", "missing")),
    }
}

fn from_abort(abort: &http_fault::FaultAbort) -> Check<Abort> {
    refuse!(abort; response_body);
    let fraction = share(abort.percentage.as_ref())?;
    let answer = match abort.error_type {
        Some(ErrorType::HttpStatus(status)) => {
            let code = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
            let code = code.and_then(|status| StatusCode::from_u16(status).ok());
            AbortAnswer::Http(
                code.ok_or_else(|| {
                    Fault::of("http_status", format!("{status} is no status from 200 to 599"))
                })?,
            )
        }
        Some(ErrorType::GrpcStatus(status)) => {
            let code = u8::try_from(status).ok().filter(|status| *status <= 16);
            let code = code.ok_or_else(|| Fault::of("grpc_status", format!("{status} is no status of gRPC")));
            AbortAnswer::Grpc(code?)
        }
        Some(ErrorType::HeaderAbort(_)) => return Err(Fault::unsupported("header_abort")),
        None => return Err(Fault::of("error_type", "missing")),
    };
    Ok(Abort { answer, fraction })
}
