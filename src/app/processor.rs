//! Whether the engine in this program fits the processor it runs on. One that was built for more ends the program at its first
//! decode, with nothing but "illegal instruction"; so it is asked before the engine is touched.

use std::{collections::BTreeSet, fs};

/// The levels of x86-64, each with what it adds to the one before (x86-64 psABI, section "Micro-Architecture Levels"), as far
/// as an engine's kernels could use it, as Linux names it.
const LEVELS: [(&str, &[&str]); 4] = [
    ("x86-64", &[]),
    ("x86-64-v2", &["ssse3", "sse4_1", "sse4_2", "popcnt"]),
    ("x86-64-v3", &["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"]),
    ("x86-64-v4", &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
];

/// For which processor the engine in this program was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineBuild {
    /// `native`, `portable`, `baseline`, or `none` without an engine.
    pub kind: &'static str,
    /// The features that a processor must have, as Linux names them.
    pub features: BTreeSet<&'static str>,
}

impl EngineBuild {
    /// That of this program: as its build noted it, and as the engine says itself.
    #[must_use]
    pub fn of_this_program() -> Self {
        let kind = env!("VIVAVOCE_ENGINE_BUILD");
        let noted = env!("VIVAVOCE_ENGINE_FEATURES").split_whitespace();
        Self { kind, features: noted.chain(compiled()).collect() }
    }

    /// What `machine` lacks of it, in the order of names. Nothing where nothing is known of the machine.
    #[must_use]
    pub fn lacking(&self, machine: &BTreeSet<String>) -> Vec<&'static str> {
        if machine.is_empty() {
            return Vec::new();
        }
        self.features.iter().filter(|feature| !machine.contains(**feature)).copied().collect()
    }

    /// The lowest level on which it runs, and what it needs beyond.
    #[must_use]
    pub fn level(&self) -> String {
        let in_levels = |upto: usize| LEVELS[..=upto].iter().flat_map(|(_, adds)| adds.iter()).collect::<BTreeSet<_>>();
        let all = in_levels(LEVELS.len() - 1);
        let (usual, beyond): (BTreeSet<_>, BTreeSet<_>) =
            self.features.iter().partition(|feature| all.contains(feature));
        let level = (0..LEVELS.len()).find(|level| usual.is_subset(&in_levels(*level))).unwrap_or(LEVELS.len() - 1);
        let beyond: Vec<&str> = beyond.into_iter().copied().collect();
        let name = LEVELS[level].0;
        if beyond.is_empty() { name.to_owned() } else { format!("{name} with {}", beyond.join(", ")) }
    }
}

/// The highest level of which a machine has all.
#[must_use]
pub fn level_of(machine: &BTreeSet<String>) -> &'static str {
    let full = |(_, adds): &&(&str, &[&str])| adds.iter().all(|feature| machine.contains(*feature));
    LEVELS.iter().take_while(full).last().map_or("x86-64", |(name, _)| *name)
}

#[cfg(feature = "whisper")]
fn compiled() -> Vec<&'static str> {
    if cfg!(target_arch = "x86_64") { crate::speech::asr::whisper::compiled::features() } else { Vec::new() }
}

#[cfg(not(feature = "whisper"))]
fn compiled() -> Vec<&'static str> {
    Vec::new()
}

/// The features of the processor that this runs on, as Linux names them: those that the system tells of, and those that the
/// processor says itself and the system lets programs use.
#[must_use]
pub fn features_here() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("flags") || line.starts_with("Features")).unwrap_or_default();
    let told = line.split_once(':').map_or("", |(_, words)| words).split_whitespace();
    let mut all: BTreeSet<String> = told.map(str::to_owned).collect();
    all.extend(detected().into_iter().map(str::to_owned));
    all
}

#[cfg(target_arch = "x86_64")]
fn detected() -> Vec<&'static str> {
    macro_rules! those {
        ($($name:tt as $linux:literal),+) => { [$((std::is_x86_feature_detected!($name), $linux)),+] };
    }
    let all = those!(
        "ssse3" as "ssse3", "sse4.1" as "sse4_1", "sse4.2" as "sse4_2", "popcnt" as "popcnt", "avx" as "avx", "avx2" as "avx2",
        "fma" as "fma", "f16c" as "f16c", "bmi1" as "bmi1", "bmi2" as "bmi2", "lzcnt" as "abm", "movbe" as "movbe",
        "avx512f" as "avx512f", "avx512bw" as "avx512bw", "avx512cd" as "avx512cd", "avx512dq" as "avx512dq",
        "avx512vl" as "avx512vl", "avx512vbmi" as "avx512vbmi", "avx512vnni" as "avx512_vnni", "avx512bf16" as "avx512_bf16",
        "avxvnni" as "avx_vnni"
    );
    all.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V3: &[&str] = &["sse4_2", "avx", "avx2", "fma", "f16c", "bmi2"];

    fn build(features: &[&'static str]) -> EngineBuild {
        EngineBuild { kind: "portable", features: features.iter().copied().collect() }
    }

    fn machine(level: usize) -> BTreeSet<String> {
        LEVELS[..=level].iter().flat_map(|(_, adds)| adds.iter().map(|f| (*f).to_owned())).collect()
    }

    #[track_caller]
    fn check(features: &[&'static str], level: &str, on: usize, lacking: &[&str]) {
        assert_eq!(build(features).level(), level);
        assert_eq!(build(features).lacking(&machine(on)), lacking);
    }

    #[test]
    fn a_build_runs_from_its_level_on_and_says_what_is_lacking_below() {
        check(&[], "x86-64", 1, &[]);
        check(&["sse4_2"], "x86-64-v2", 1, &[]);
        check(V3, "x86-64-v3", 2, &[]);
        check(V3, "x86-64-v3", 3, &[]);
        check(V3, "x86-64-v3", 1, &["avx", "avx2", "bmi2", "f16c", "fma"]);
        check(&["avx2", "avx512f"], "x86-64-v4", 2, &["avx512f"]);
        check(
            &["avx512f", "avx512_vnni", "amx_int8"],
            "x86-64-v4 with amx_int8, avx512_vnni",
            3,
            &["amx_int8", "avx512_vnni"],
        );
    }

    #[test]
    fn of_a_machine_that_tells_nothing_nothing_is_claimed() {
        assert_eq!(build(V3).lacking(&BTreeSet::new()), [""; 0]);
    }

    #[test]
    fn a_machine_has_the_highest_level_of_which_it_has_all() {
        for (level, (name, _)) in LEVELS.iter().enumerate() {
            assert_eq!(level_of(&machine(level)), *name);
        }
        let mut partly = machine(3);
        partly.remove("movbe");
        assert_eq!(level_of(&partly), "x86-64-v2");
        assert_eq!(level_of(&BTreeSet::new()), "x86-64");
    }

    #[test]
    fn this_program_runs_here() {
        assert_eq!(EngineBuild::of_this_program().lacking(&features_here()), [""; 0]);
        #[cfg(feature = "whisper")]
        if cfg!(target_arch = "x86_64") && EngineBuild::of_this_program().kind == "native" {
            // What the engine says of itself is what the machine has that built it.
            let here = features_here();
            for feature in ["avx2", "fma", "avx512f"] {
                assert_eq!(compiled().contains(&feature), here.contains(feature), "{feature}");
            }
        }
    }
}
