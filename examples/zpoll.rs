use std::hint::black_box; use std::time::Instant; use seqslot::Config;
#[inline(never)]
fn polls<H: seqslot_core::SegmentHandle>(reader: &seqslot_core::Reader<H>, count: u64) -> u64 { let mut n = 0; for _ in 0..count { if black_box(reader).take().unwrap().is_some() { n += 1; } } n }
fn main() { let count: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
 let path = std::env::temp_dir().join(format!("seqslot-poll-{}.flink", std::process::id()));
 let segment = seqslot::create(&path, &Config::slots(64, 64).writers(1).readers(1)).unwrap();
 let (writer, reader) = (segment.writer().unwrap(), segment.reader().unwrap());
 writer.send(b"x").unwrap(); drop(reader.take());
 let mut best = f64::INFINITY; for _ in 0..20 { let s = Instant::now(); black_box(polls(&reader, count)); best = best.min(s.elapsed().as_nanos() as f64 / count as f64); }
 println!("{best:.2} ns"); }
