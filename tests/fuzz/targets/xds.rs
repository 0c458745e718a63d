//! What any control plane sends is decoded or refused; what is decoded is what would be sent for it; what links is a snapshot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use weir_config::snapshot::link::Linker;
use weir_fuzz::messages;
use weir_model::ResourceSet;
use weir_model::node::Target;
use weir_xds::codec::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let mut linker = Linker::new(1);
    let mut set = ResourceSet::default();
    for message in messages(bytes) {
        let resource = match decode(&message) {
            Ok(resource) => resource,
            Err(error) => {
                assert!(!error.message.is_empty());
                continue;
            }
        };
        let again = decode(&encode(&resource, Target::Weir));
        assert_eq!(again.as_ref(), Ok(&resource), "told again it is something else");
        match linker.prepare(resource.version(), &resource) {
            Ok(()) => set.insert(resource),
            Err(error) => assert!(!error.message.is_empty()),
        }
    }
    // It need not be closed; what is, is linked, and again the same.
    if let Ok(snapshot) = linker.link(&set, std::iter::empty()) {
        let snapshot = Arc::new(snapshot);
        let again = linker.link(&set, std::iter::empty()).expect("it was linked before");
        assert_eq!(snapshot.revision, again.revision);
    }
});
