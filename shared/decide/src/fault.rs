//! Which requests fail or wait on purpose.

use crate::mirror::selected;
use crate::route::{AllFields, FieldCompiler, RouteError};
use http::HeaderMap;
use std::time::Duration;
use weir_model::{AbortAnswer, Random};

/// A fault, ready to decide.
#[derive(Debug)]
pub struct Fault {
    headers: AllFields,
    model: weir_model::Fault,
}

/// What happens to one request. First it waits, then it is aborted; most often it is neither.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Injected {
    /// How long it waits.
    pub delay: Option<Duration>,
    /// What it is answered with.
    pub abort: Option<AbortAnswer>,
}

impl Fault {
    /// Compiles its conditions.
    ///
    /// # Errors
    ///
    /// With the first regular expression that cannot be compiled.
    pub fn compile(model: &weir_model::Fault, compiler: &mut FieldCompiler) -> Result<Self, RouteError> {
        Ok(Self { headers: compiler.all(&model.headers, "headers")?, model: model.clone() })
    }

    /// Decides on one request. Delay and abort are drawn independently of each other, as Envoy does it.
    pub fn inject(&self, headers: &HeaderMap, random: &mut Random) -> Injected {
        if !self.headers.hold(headers) {
            return Injected::default();
        }
        let delay = self.model.delay.as_ref().filter(|delay| selected(delay.fraction, random));
        let abort = self.model.abort.as_ref().filter(|abort| selected(abort.fraction, random));
        Injected { delay: delay.map(|delay| delay.duration), abort: abort.map(|abort| abort.answer) }
    }
}

#[cfg(test)]
mod tests;
