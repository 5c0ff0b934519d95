//! Flinks: the small files that name a shared memory object.

use super::Malformed;

const NOT_A_SEGMENT: &str = "NotASegment";
const NOT_FOUND: &str = "NotFound";

pub(super) fn files() -> Vec<Malformed> {
    let mut files = vec![
        Malformed::new("empty", NOT_A_SEGMENT, "nothing in it", []),
        Malformed::new("one-mib", NOT_A_SEGMENT, "1 MiB of one letter", vec![b'a'; 1 << 20]),
        Malformed::new("name-of-255", NOT_FOUND, "the longest name there can be, of nothing", name_of(255)),
        Malformed::new("name-of-256", NOT_A_SEGMENT, "a name a byte too long", name_of(256)),
        Malformed::new("name-of-4096", NOT_A_SEGMENT, "a name of a page", name_of(4096)),
    ];
    for (name, contents, why) in [
        ("slash", &b"/"[..], "a slash without a name"),
        ("no-slash", b"shmem_F749159A8917D0D5", "a name without its slash"),
        ("path", b"/tmp/frames", "a path in place of a name"),
        ("deep-path", b"/dev/shm/shmem_F749159A8917D0D5", "the path of an object"),
        ("two-slashes", b"//shmem", "two slashes"),
        ("trailing-slash", b"/shmem/", "a slash behind the name"),
        ("dot", b"/.", "the folder itself"),
        ("dot-dot", b"/..", "the folder above"),
        ("dot-dot-slash", b"../etc/passwd", "a way out of the folder"),
        ("slash-dot-dot", b"/../etc/passwd", "a way out of the folder, behind a slash"),
        ("newline", b"/shmem_F749159A8917D0D5\n", "a line's end"),
        ("nul-inside", b"/shmem\0_F749159A8917D0D5", "a NUL inside"),
        ("nul-behind", b"/shmem_F749159A8917D0D5\0", "a NUL behind"),
        ("escape", b"/\x1b[2J", "a terminal's escape sequence"),
        ("not-utf8", b"/\xff\xfe\xfd", "not UTF-8"),
        ("half-a-letter", b"/shmem_\xc3", "UTF-8 cut inside of a letter"),
        ("overlong", b"/shmem_\xc0\xaf", "a slash in two bytes, which UTF-8 forbids"),
        ("utf16", b"/\0s\0h\0m\0", "UTF-16"),
    ] {
        files.push(Malformed::new(name, NOT_A_SEGMENT, why, contents));
    }
    for (name, contents, why) in [
        ("gone-ours", &b"/seqslot-0123456789abcdef"[..], "one of our names, of nothing"),
        ("gone-theirs", b"/shmem_0000000000000000", "a name as the shared_memory crate draws them, of nothing"),
        ("gone-spaces", b"/ a name with spaces ", "spaces, of nothing"),
        ("gone-dots", b"/...", "three dots are a name, of nothing"),
        ("gone-letters", "/größe".as_bytes(), "letters beyond ASCII, of nothing"),
    ] {
        files.push(Malformed::new(name, NOT_FOUND, why, contents));
    }
    files
}

/// A name of so many bytes with its slash.
fn name_of(len: usize) -> Vec<u8> {
    let mut name = vec![b'n'; len];
    name[0] = b'/';
    name
}
