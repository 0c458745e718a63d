//! Every bound of the data plane, in one place. What has no bound here has none anywhere, and that is a bug.

use std::time::Duration;

/// Names one sidecar may ask for on demand before the least recently used is given up.
pub const ON_DEMAND_NAMES: usize = 1024;
/// Bytes of a connection that are looked at to tell what it speaks.
pub const SNIFF_BYTES: usize = 4096;
/// How long a client may say nothing before it is connected, because its server may be the one that speaks first.
pub const SNIFF_WAIT: Duration = Duration::from_millis(100);
/// Length of an access log's format, in bytes.
pub const LOG_FORMAT_BYTES: usize = 8192;
/// Largest TLS ClientHello that is read for its server name, in bytes.
pub const CLIENT_HELLO_BYTES: usize = 16 * 1024;
/// How long a request waits for a name that was never asked for before.
pub const ON_DEMAND_WAIT: Duration = Duration::from_secs(2);
/// Requests of one worker that may wait for configuration at the same time.
pub const ON_DEMAND_WAITING: usize = 1024;
/// A name that nobody used for this long is given back.
pub const ON_DEMAND_IDLE: Duration = Duration::from_secs(30 * 60);
/// Largest request or response head, in bytes (431 beyond it).
pub const HEAD_BYTES: usize = 64 * 1024;
/// Most header fields in one head: what the HTTP/1 parser holds without allocating.
pub const HEAD_FIELDS: usize = 100;
/// The largest head, in bytes, that a listener may ask to be taken, and the most fields of one.
pub const HEAD_BYTES_MOST: u32 = 1024 * 1024;
/// The same for its fields.
pub const HEAD_FIELDS_MOST: u32 = 4096;
/// The largest windows that a listener may ask for: of a stream of HTTP/2, and of a connection.
pub const HTTP2_WINDOWS_MOST: (u32, u32) = (16 * 1024 * 1024, 32 * 1024 * 1024);
/// The most concurrent HTTP/2 streams of one downstream connection that a listener may ask for.
pub const DOWNSTREAM_STREAMS_MOST: u32 = 4096;
/// Logs of one listener, and conditions in the filter of one log.
pub const ACCESS_LOGS: usize = 8;
/// The same for the conditions.
pub const LOG_CONDITIONS: usize = 64;
/// Largest body kept for a possible retry, in bytes; a larger one is sent once.
pub const RETRY_BODY_BYTES: usize = 64 * 1024;
/// Pieces of a body that are kept for a retry, or wait in a copy of it: what comes in tiny ones would take many times its length.
pub const BODY_PIECES: usize = 1024;
/// Most attempts a retry policy may ask for, the first one not counted.
pub const RETRIES: u32 = 10;
/// Conditions on header fields in one retry policy, for requests and for responses each.
pub const RETRY_HEADERS: usize = 32;
/// The longest wait that an upstream may ask for before a retry, unless a policy says otherwise.
pub const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Concurrent HTTP/2 streams of one downstream connection.
pub const DOWNSTREAM_STREAMS: u32 = 256;
/// What an HTTP/2 peer may send on one stream before it is told to go on, in bytes: four times the protocol's default, so that
/// ordinary messages need no window update.
pub const HTTP2_STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of one connection: the most that is buffered for a connection whose other side does not read.
pub const HTTP2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one HTTP/2 stream that may wait to be sent.
pub const HTTP2_SEND_BUFFER: usize = 256 * 1024;
/// Streams that an HTTP/2 peer opened and reset at once, before its connection is given up (CVE-2023-44487).
pub const HTTP2_RESET_STREAMS: usize = 64;
/// How much of a request body is read and dropped after its response, so that the caller can read that and go on; beyond it
/// the connection closes.
pub const DISCARD_BYTES: u64 = 1024 * 1024;
/// How long that may take.
pub const DISCARD_TIME: Duration = Duration::from_secs(5);
/// Buffer for each direction of an opaque or upgraded connection, in bytes.
pub const COPY_BUFFER: usize = 16 * 1024;
/// Endpoints that are tried for one opaque connection before it is given up, unless its listener says otherwise.
pub const TCP_ATTEMPTS: u32 = 3;
/// Endpoints that a listener may have tried for one opaque connection.
pub const TCP_ATTEMPTS_MOST: u32 = 64;
/// How long nothing may move on an opaque connection, unless its listener says otherwise: what Envoy gives it.
pub const TCP_IDLE: Duration = Duration::from_secs(3600);
/// Filter chains of one listener.
pub const FILTER_CHAINS: usize = 4096;
/// Values of one criterion in the match of one filter chain.
pub const CHAIN_VALUES: usize = 1024;
/// Combinations of values in the matches of all filter chains of one listener.
pub const CHAIN_MATCHES: usize = 65_536;
/// Idle upstream connections one worker keeps per endpoint.
pub const IDLE_CONNECTIONS: usize = 64;
/// How long an idle upstream connection is kept.
pub const IDLE_CONNECTION_AGE: Duration = Duration::from_secs(60);
/// How long a downstream may take to send a request head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request body over HTTP/1 may stop coming while it is waited for; what Envoy gives a stream by default.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a downstream connection may stay without a request.
pub const DOWNSTREAM_IDLE: Duration = Duration::from_secs(600);
/// How long a downstream connection that is being closed is read on, so that its peer gets to read our last words.
pub const LINGER: Duration = Duration::from_secs(1);
/// How many bytes are read and dropped then.
pub const LINGER_BYTES: usize = 1024 * 1024;
/// How long a connection that was taken before draining began may take to begin its first request.
pub const LAST_REQUEST: Duration = Duration::from_millis(250);
/// Downstream connections of one worker; beyond it new ones wait in the kernel's backlog.
pub const DOWNSTREAM_CONNECTIONS: usize = 16_384;
/// Largest xDS message a client or server reads, in bytes.
pub const XDS_MESSAGE_BYTES: usize = 32 * 1024 * 1024;
/// Longest NACK text kept and sent, in bytes.
pub const NACK_TEXT_BYTES: usize = 4096;
/// Resources one data plane holds.
pub const RESOURCES: usize = 65_536;
/// Routes of one virtual host.
pub const ROUTES: usize = 65_536;
/// Endpoints of one cluster.
pub const ENDPOINTS: usize = 65_536;
/// Length of a regular expression in a match, in bytes.
pub const REGEX_BYTES: usize = 1024;
/// Memory of one compiled regular expression, in bytes.
pub const REGEX_MEMORY: usize = 1024 * 1024;
/// Bytes that an expression whose matches are replaced may need; each byte of a path takes as many steps as fit in there, at worst.
pub const SUBSTITUTE_MEMORY: usize = 64 * 1024;
/// How long a TCP connect may take, unless a policy says otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Largest policy manifest read at once, in bytes.
pub const MANIFEST_BYTES: usize = 4 * 1024 * 1024;
/// Deepest nesting of a policy document.
pub const MANIFEST_DEPTH: usize = 64;
/// Findings reported of one manifest or one mesh; what lies beyond is counted.
pub const DIAGNOSTICS: usize = 1000;
/// Names of one type that one client may subscribe to.
pub const SUBSCRIPTION_NAMES: usize = 65_536;
/// Length of a resource's name, a label or another name on the wire, in bytes.
pub const NAME_BYTES: usize = 4096;
/// Entries of one list or map in a node's metadata.
pub const NODE_ENTRIES: usize = 1024;
/// Resources in one incremental response stop here, in bytes; the rest follows in the next one.
pub const XDS_RESPONSE_BYTES: usize = 2 * 1024 * 1024;
/// Virtual hosts of one route configuration.
pub const VIRTUAL_HOSTS: usize = 65_536;
/// Domains of one virtual host.
pub const DOMAINS: usize = 1024;
/// Clusters among which one route splits.
pub const SPLIT: usize = 256;
/// Points of one hash ring.
pub const RING_POINTS: u32 = 1 << 20;
/// Labels of one endpoint, or by which one route asks for endpoints, and values of one label.
pub const LABELS: usize = 64;
/// Selectors of one cluster's subsets.
pub const SUBSET_SELECTORS: usize = 16;
/// Subsets of one cluster; a cluster whose endpoints make more is refused, and what it was before stays.
pub const SUBSETS: usize = 1024;
/// Categories under which a share of a cluster's requests is dropped.
pub const DROPS: usize = 32;
/// Names of one cluster that are looked up.
pub const DNS_HOSTS: usize = 256;
/// Length of such a name, in bytes, as DNS has it.
pub const DNS_NAME_BYTES: usize = 253;
/// Addresses of one name that count.
pub const DNS_ADDRESSES: usize = 256;
/// Look-ups of one sidecar that run at the same time; others wait for their turn.
pub const DNS_LOOKUPS: usize = 4;
/// The shortest time from one look-up of a name to the next, whatever a cluster asks for.
pub const DNS_REFRESH: Duration = Duration::from_millis(500);
/// How long a look-up may take.
pub const DNS_TIME: Duration = Duration::from_secs(10);
/// Slots of one Maglev table, as Envoy has it.
pub const MAGLEV_SLOTS: u32 = 5_000_011;
/// Parts that a route's hash is made of.
pub const HASH_POLICIES: usize = 16;
/// Attributes of a cookie that is issued.
pub const COOKIE_ATTRIBUTES: usize = 16;
/// Clusters to which one route may mirror.
pub const MIRRORS: usize = 16;
/// Copies of requests that one worker has under way; beyond it none is made.
pub const MIRRORS_IN_FLIGHT: usize = 256;
/// What the copy of a body may lag behind the original, in bytes; beyond it the copy is cut.
pub const MIRROR_BODY_BYTES: usize = 64 * 1024;
/// How long a copy may take, unless its route says otherwise.
pub const MIRROR_TIME: Duration = Duration::from_secs(15);
/// Limits on the rate of requests that one route may have for requests with something in common.
pub const RATE_LIMITS: usize = 16;
/// Cells in which one such limit counts all its keys. A cell is one word.
pub const RATE_LIMIT_CELLS: usize = 4 * 8192;
/// Origins, methods or fields that one CORS policy may list.
pub const CORS_ENTRIES: usize = 64;
/// Protocols that a listener may list as those a connection may be upgraded to.
pub const UPGRADES: usize = 16;
/// The longest delay that a fault may cause.
pub const FAULT_DELAY: Duration = Duration::from_secs(300);
/// Body of a response that a route gives itself, in bytes.
pub const DIRECT_BODY_BYTES: usize = 4096;
/// Memory of all compiled regular expressions of one route configuration, in bytes.
pub const REGEX_MEMORY_TOTAL: usize = 64 * 1024 * 1024;
/// Health checks of one sidecar that run at the same time; others wait for their turn.
pub const HEALTH_CHECKS: usize = 32;
/// What a health check reads of an answer, and what it may send or expect, in bytes.
pub const HEALTH_CHECK_BYTES: usize = 16 * 1024;
/// Ranges of statuses, or blocks of bytes, in one health check.
pub const HEALTH_CHECK_PARTS: usize = 64;
/// The shortest interval between two health checks of an endpoint, or two comparisons of outlier detection.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);
