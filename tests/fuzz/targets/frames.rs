//! Frames on a plugin's pipe: what is read is written in a form that is read as the same.
#![no_main]

use forethought_fuzz as _;
use forethought_plugin_host::rewritten;
use forethought_sdk::futures::FutureExt as _;
use libfuzzer_sys::fuzz_target;

fn rewrite(bytes: &[u8]) -> Result<Vec<u8>, String> {
    rewritten(bytes, 1 << 16).now_or_never().expect("bytes in memory never wait")
}

fuzz_target!(|bytes: &[u8]| {
    match rewrite(bytes) {
        Ok(once) => assert_eq!(rewrite(&once).as_ref(), Ok(&once)),
        Err(why) => assert!(!why.is_empty()),
    }
    // The same JSON with the lengths that belong to it: mutations rarely find them.
    let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
    framed.extend([0; 4]);
    framed.extend_from_slice(bytes);
    if let Ok(once) = rewrite(&framed) {
        assert_eq!(rewrite(&once).as_ref(), Ok(&once));
    }
});
