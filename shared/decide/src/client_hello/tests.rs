use super::*;
use proptest::prelude::*;

fn vector8(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

fn vector16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes()[..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(content)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[&[0], &vector16(name)[..]].concat()))
}

fn alpn_of(protocols: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = protocols.iter().flat_map(|protocol| vector8(protocol)).collect();
    extension(16, &vector16(&list))
}

/// A handshake message with these extensions.
fn message(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend(vector8(&[9; 32]));
    body.extend(vector16(&[0x13, 0x01, 0x13, 0x02]));
    body.extend(vector8(&[0]));
    body.extend(vector16(extensions));
    let length = (body.len() as u32).to_be_bytes();
    [&[1], &length[1..], &body].concat()
}

/// The message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &vector16(part)].concat()).collect()
}

fn read(bytes: &[u8]) -> Result<Option<ClientHello>, HelloError> {
    HelloReader::default().receive(bytes)
}

fn read_extensions(extensions: &[u8]) -> Result<ClientHello, HelloError> {
    read(&records(&message(extensions), RECORD)).map(|hello| hello.expect("all of it is there"))
}

#[test]
fn a_name_and_protocols() {
    let extensions =
        [extension(43, &[2, 3, 4]), sni(b"Reviews.Example.COM"), alpn_of(&[b"h2", b"http/1.1"])].concat();
    let expected = ClientHello {
        server_name: Some("reviews.example.com".to_owned()),
        alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    assert_eq!(read_extensions(&extensions), Ok(expected));
    assert_eq!(read_extensions(&[]), Ok(ClientHello::default()));
    assert_eq!(read_extensions(&sni(b"a.b.")).unwrap().server_name.as_deref(), Some("a.b"));
}

#[test]
fn a_hello_without_extensions_at_all() {
    let mut whole = message(&[]);
    whole.truncate(whole.len() - 2);
    whole[3] -= 2;
    assert_eq!(read(&records(&whole, RECORD)), Ok(Some(ClientHello::default())));
}

#[test]
fn what_is_wrong_is_said() {
    let malformed = |extensions: &[u8]| match read_extensions(extensions) {
        Err(HelloError::Malformed(what)) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(malformed(&[sni(b"a"), sni(b"b")].concat()), "two server_name extensions");
    assert_eq!(malformed(&[alpn_of(&[b"a"]), alpn_of(&[b"b"])].concat()), "two ALPN extensions");
    for name in [&b""[..], b".", b"a..b", b"a b", b"\xc3\xa9", b"::1", b"a\0b", &[b'a'; 64]] {
        assert_eq!(malformed(&sni(name)), "a server name that is no DNS name", "{name:?}");
    }
    let two = [[&[0][..], &vector16(b"a")].concat(), [&[0][..], &vector16(b"b")].concat()].concat();
    assert_eq!(malformed(&extension(0, &vector16(&two))), "two host names");
    assert_eq!(malformed(&extension(0, &vector16(&[]))), "no list of server names");
    assert_eq!(malformed(&alpn_of(&[b""])), "a protocol without a name");
    assert_eq!(malformed(&[0, 0, 0, 9, 0]), "a length that leads beyond its end");
}

#[test]
fn what_is_not_tls_is_known_by_its_first_bytes() {
    assert_eq!(read(b"GET"), Err(HelloError::NotTls));
    assert_eq!(read(&[22, 2]), Err(HelloError::NotTls));
    assert_eq!(read(&[22, 3, 9]), Ok(None));
    assert_eq!(read(&[22, 3, 1, 0, 0]), Err(HelloError::Malformed("an empty record")));
    assert_eq!(read(&[22, 3, 1, 0x40, 1]), Err(HelloError::Malformed("a record that is too long")));
    assert_eq!(read(&[22, 3, 1, 0, 1, 2]), Err(HelloError::Malformed("another message comes first")));
    let interrupted = [&records(&message(&[])[..10], 10)[..], &[21]].concat();
    assert_eq!(read(&interrupted), Err(HelloError::Malformed("another kind of record")));
}

#[test]
fn it_is_bounded() {
    // The length alone is enough to refuse it.
    assert_eq!(read(&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]), Err(HelloError::TooLarge));
    let fill = limits::CLIENT_HELLO_BYTES - message(&extension(21, &[])).len();
    assert!(read_extensions(&extension(21, &vec![0; fill])).is_ok());
    assert_eq!(read_extensions(&extension(21, &vec![0; fill + 1])), Err(HelloError::TooLarge));
}

proptest! {
    #[test]
    fn it_is_the_same_in_pieces_and_records_of_any_size(
        name in "[a-z0-9_-]{1,20}(\\.[a-z]{1,9}){0,3}",
        protocols in prop::collection::vec("[a-z0-9/.]{1,9}", 1..4),
        record in 1..200usize,
        cuts in prop::collection::vec(1..50usize, 1..20),
    ) {
        let offered: Vec<&[u8]> = protocols.iter().map(|protocol| protocol.as_bytes()).collect();
        let whole = records(&message(&[alpn_of(&offered), sni(name.as_bytes())].concat()), record);
        let mut reader = HelloReader::default();
        let (mut rest, mut cuts) = (&whole[..], cuts.iter().cycle());
        let hello = loop {
            let piece = rest.len().min(*cuts.next().unwrap());
            let answer = reader.receive(&rest[..piece]).unwrap();
            rest = &rest[piece..];
            match answer {
                Some(hello) => break hello,
                None => prop_assert!(!rest.is_empty()),
            }
        };
        prop_assert!(rest.is_empty());
        prop_assert_eq!(hello.server_name.as_deref(), Some(name.as_str()));
        prop_assert_eq!(hello.alpn, offered);
    }

    #[test]
    fn any_change_of_a_byte_is_read_or_refused(at: prop::sample::Index, byte: u8, end: prop::sample::Index) {
        let mut whole = records(&message(&[sni(b"reviews.example.com"), alpn_of(&[b"h2"])].concat()), 60);
        let at = at.index(whole.len());
        whole[at] = byte;
        let end = end.index(whole.len());
        let once = read(&whole);
        let mut reader = HelloReader::default();
        let twice = match reader.receive(&whole[..end]) {
            Ok(None) => reader.receive(&whole[end..]),
            known => known,
        };
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&[&[22, 3, 1, 0, 200, 1, 0, 0, 190][..], &bytes].concat());
    }
}
