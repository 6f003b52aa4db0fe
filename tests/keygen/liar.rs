//! An operator that the test plays: honest machine, own words altered, and different ones at different addresses.
use keygen::operators::{Message, Operator, Plan};
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use types::Hash;

/// What one address shows.
pub(crate) type Shown = Arc<Mutex<BTreeMap<Hash, Vec<u8>>>>;

/// Serves an address until the flag is set.
pub(crate) fn serve(address: &str, plan: &Arc<Plan>, shown: Shown, stop: Arc<AtomicBool>) {
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let base = format!("/lockstep/v1/ceremony/{}", hex::encode(plan.name().0));
    std::thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            let Ok((stream, _)) = listener.accept() else {
                std::thread::park_timeout(Duration::from_millis(10));
                continue;
            };
            answer(stream, &base, &shown);
        }
    });
}

fn answer(mut stream: TcpStream, base: &str, shown: &Shown) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut first = String::new();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    lines.read_line(&mut first).ok();
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|read| read > 2) {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let shown = shown.lock().unwrap();
    let body = match path.strip_prefix(base).map(|rest| rest.trim_start_matches('/')) {
        Some("") => Some([vec![1], shown.keys().flat_map(|id| id.0).collect()].concat()),
        Some(id) => Hash::from_hex(id).ok().and_then(|id| shown.get(&id).cloned()),
        None => None,
    };
    let (status, body) = body.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).ok();
}

fn get(address: &str, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    answer.starts_with(b"HTTP/1.1 200").then(|| answer[end + 4..].to_vec())
}

/// Takes what an honest operator shows.
pub(crate) fn hear(operator: &mut Operator, address: &str) {
    let plan = Arc::clone(operator.plan());
    let base = format!("/lockstep/v1/ceremony/{}", hex::encode(plan.name().0));
    let Some(list) = get(address, &base) else { return };
    for id in list[1..].chunks(32) {
        let Some(bytes) = get(address, &format!("{base}/{}", hex::encode(id))) else { continue };
        operator.on(&Message::read(&bytes).unwrap()).ok();
    }
}
