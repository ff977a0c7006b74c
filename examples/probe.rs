use std::sync::Arc; use std::io::Write;
use vivavoce::domain::{language::*, time::*, engine::Sha256Hash};
use vivavoce::speech::asr::{*, whisper::*};
fn main(){
  let a:Vec<String>=std::env::args().collect(); // model list.tsv(id lang f32file) out.tsv beam pad(-1 full) align threads
  let bytes=std::fs::read(&a[1]).unwrap();
  let pad:i64=a[5].parse().unwrap(); let threads:u8=a[7].parse().unwrap();
  let last=PassParameters{beam:a[4].parse().unwrap(),context_pad:if pad<0{None}else{Some(pad as usize)},align_words:a[6]=="1"};
  let r:Arc<dyn Recognizer>=Arc::new(Whisper::load(&WhisperWeights{name:"base",sha256:Sha256Hash::new([0;32]),bytes:&bytes},WhisperOptions{threads,last,..Default::default()}).unwrap());
  let rows:Vec<Vec<String>>=std::fs::read_to_string(&a[2]).unwrap().lines().map(|l|l.split('\t').map(String::from).collect()).collect();
  let next=std::sync::atomic::AtomicUsize::new(0); let out=std::sync::Mutex::new(std::fs::File::create(&a[3]).unwrap());
  let t0=std::time::Instant::now();
  std::thread::scope(|s|{ for _ in 0..(if threads==1{2}else{1}) { s.spawn(||{ let mut d=r.decoder().unwrap(); loop{ let i=next.fetch_add(1,std::sync::atomic::Ordering::Relaxed); if i>=rows.len(){break}
    let raw=std::fs::read(&rows[i][2]).unwrap(); let x:Vec<f32>=raw.chunks(4).map(|c|f32::from_le_bytes(c.try_into().unwrap())).collect();
    let l=AllowedLanguages::new(rows[i][1].split(',').map(|l|l.parse().unwrap()).collect()).unwrap(); let t=std::time::Instant::now();
    let mut text=String::new(); let mut words=String::new(); for (k,c) in x.chunks(28*16000).enumerate(){ let h=d.decode(&DecodeRequest{samples:c,start:Tick::new(k as u64*28*16000),languages:&l,pass:Pass::Final},&CancelFlag::default()).unwrap(); text.push_str(&h.text()); text.push(' ');
      for w in &h.words { words.push_str(&format!("{}[{:.2}-{:.2} {:.2}] ",w.text,w.span.start().index() as f64/16000.,w.span.end().index() as f64/16000.,w.score.value())); } words.push_str(&format!("nsp {:.3} {:?}",h.no_speech.value(),h.language_posterior)); }
    if a.len()>8 { println!("{} {:.2}s {}",rows[i][0],t.elapsed().as_secs_f64(),words); }
    writeln!(out.lock().unwrap(),"{}\t{}",rows[i][0],text.trim()).unwrap(); }}); }});
  println!("total {:.1}s",t0.elapsed().as_secs_f64());
}
