use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

fn frame(length: usize) -> Vec<u8> {
    let mut frame = vec![(length >> 16) as u8, (length >> 8) as u8, length as u8, 0, 0, 0, 0, 0, 1];
    frame.extend(std::iter::repeat_n(0xaa, length));
    frame
}

/// Wherever in the bytes it is wanted and however they are cut up, it comes between two frames, once, and not before the first.
#[tokio::test]
async fn it_comes_between_two_frames() {
    let frames = [frame(0), frame(5), frame(300), frame(70_000), frame(1)];
    let all: Vec<u8> = frames.concat();
    let ends: Vec<usize> = frames
        .iter()
        .scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        })
        .collect();
    for step in [1, 7, 9, 10, 1000, 65_536] {
        for at in [0, 1, 9, 12, 100, 400, all.len() - 1] {
            // Small steps through all the bytes at every place would take long and show nothing more.
            let all = if step < 9 { &all[..400] } else { &all[..] };
            if at >= all.len() {
                continue;
            }
            let wanted = Rc::new(Cell::new(false));
            let (near, mut far) = duplex(all.len() + 100);
            let mut near = Noticed::new(near, wanted.clone());
            let mut written = 0;
            while written < all.len() {
                if written <= at && at < written + step {
                    wanted.set(true);
                }
                let end = (written + step).min(all.len());
                written += near.write(&all[written..end]).await.unwrap();
                near.flush().await.unwrap();
            }
            drop(near);
            let mut seen = Vec::new();
            far.read_to_end(&mut seen).await.unwrap();
            let place = seen.windows(NOTICE.len()).position(|window| window == NOTICE);
            match place {
                Some(place) => {
                    assert!(ends.contains(&place), "step {step}, wanted at {at}: {place}");
                    seen.drain(place..place + NOTICE.len());
                }
                // Not yet: a frame is not whole.
                None => assert!(wanted.get() && !ends.contains(&all.len()), "step {step}, wanted at {at}"),
            }
            assert_eq!(seen, all, "step {step}, wanted at {at}");
        }
    }
}

#[tokio::test]
async fn a_flush_is_enough() {
    let wanted = Rc::new(Cell::new(false));
    let (near, mut far) = duplex(100);
    let mut near = Noticed::new(near, wanted.clone());
    near.write_all(&frame(2)).await.unwrap();
    wanted.set(true);
    near.flush().await.unwrap();
    near.flush().await.unwrap();
    let mut seen = vec![0; 11 + NOTICE.len()];
    far.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen[11..], *NOTICE);
}
