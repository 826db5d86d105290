//! Writes the canonical form (RFC 8785) of a value of the profile straight from that value: nothing is built in between, and
//! the members of an object are put in order where they stand. Refuses what the profile forbids, never rounds it.

use super::{MAX_DEPTH, MAX_INTEGER};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::io;

/// Room for most values, in bytes.
const CAPACITY_BYTES: usize = 512;

/// The canonical bytes. An error of the writer is one of the profile; any other tells of a value that is no JSON.
pub(super) fn bytes(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let out = RefCell::new(Vec::with_capacity(CAPACITY_BYTES));
    let form = Canonical { out: &out, depth: 0, objects: vec![], members: vec![], in_order: vec![] };
    value.serialize(&mut Serializer::with_formatter(Out(&out), form))?;
    Ok(out.into_inner())
}

/// What was written so far, shared with the form, which moves members.
struct Out<'b>(&'b RefCell<Vec<u8>>);

impl io::Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a member stands: its key with quotes, and its end.
struct Member {
    start: usize,
    key_end: usize,
    end: usize,
}

impl Member {
    fn key<'o>(&self, out: &'o [u8]) -> &'o [u8] {
        out.get(self.start..self.key_end).unwrap_or_default()
    }
}

/// An object that is being written: where its members begin, and the number of the first one.
struct Object {
    start: usize,
    first: usize,
}

struct Canonical<'b> {
    out: &'b RefCell<Vec<u8>>,
    depth: usize,
    objects: Vec<Object>,
    /// Those of all open objects, the innermost last.
    members: Vec<Member>,
    /// The members of one object while they change places.
    in_order: Vec<u8>,
}

impl Canonical<'_> {
    fn here(&self) -> usize {
        self.out.borrow().len()
    }

    fn deeper(&mut self) -> io::Result<()> {
        if self.depth >= MAX_DEPTH {
            return Err(io::Error::other("nested too deep"));
        }
        self.depth += 1;
        Ok(())
    }

    /// Puts the members of the innermost object in order.
    fn put_in_order(&mut self) -> io::Result<()> {
        let Some(Object { start, first }) = self.objects.pop() else { return Ok(()) };
        let mut out = self.out.borrow_mut();
        let members = self.members.get_mut(first..).unwrap_or_default();
        if !members.is_sorted_by(|one, next| by_utf16(one.key(&out), next.key(&out)) == Ordering::Less) {
            members.sort_by(|one, other| by_utf16(one.key(&out), other.key(&out)));
            if members.windows(2).any(|pair| matches!(pair, [one, next] if one.key(&out) == next.key(&out))) {
                return Err(io::Error::other("duplicate key"));
            }
            self.in_order.clear();
            for member in members {
                self.in_order.extend_from_slice(out.get(member.start..member.end).unwrap_or_default());
                self.in_order.push(b',');
            }
            self.in_order.pop();
            out.truncate(start);
            out.extend_from_slice(&self.in_order);
        }
        self.members.truncate(first);
        Ok(())
    }
}

/// RFC 8785 section 3.2.3: keys are ordered by UTF-16 code units. Both stand here as they are written, with quotes.
fn by_utf16(one: &[u8], other: &[u8]) -> Ordering {
    let is_plain = |key: &[u8]| key.is_ascii() && !key.contains(&b'\\');
    if is_plain(one) && is_plain(other) {
        let unquoted = |key: &'_ [u8]| key.strip_suffix(b"\"").map_or(key.len(), <[u8]>::len);
        return one.get(..unquoted(one)).cmp(&other.get(..unquoted(other)));
    }
    utf16(one).cmp(&utf16(other))
}

fn utf16(key: &[u8]) -> Vec<u16> {
    serde_json::from_slice::<String>(key).unwrap_or_default().encode_utf16().collect()
}

fn exact(value: Option<i64>) -> io::Result<i64> {
    let exact = value.filter(|value| value.unsigned_abs() <= MAX_INTEGER);
    exact.ok_or_else(|| io::Error::other("not an exact integer"))
}

impl Formatter for Canonical<'_> {
    fn write_i64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        write!(writer, "{}", exact(Some(value))?)
    }

    fn write_u64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        write!(writer, "{}", exact(i64::try_from(value).ok())?)
    }

    fn write_i128<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i128) -> io::Result<()> {
        write!(writer, "{}", exact(i64::try_from(value).ok())?)
    }

    fn write_u128<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u128) -> io::Result<()> {
        write!(writer, "{}", exact(i64::try_from(value).ok())?)
    }

    fn write_f32<W: ?Sized + io::Write>(&mut self, _: &mut W, _: f32) -> io::Result<()> {
        exact(None).map(|_| ())
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, _: &mut W, _: f64) -> io::Result<()> {
        exact(None).map(|_| ())
    }

    fn write_number_str<W: ?Sized + io::Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        exact(None).map(|_| ())
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        Err(io::Error::other("text that was not written here"))
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.deeper()?;
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(b"]")
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.deeper()?;
        writer.write_all(b"{")?;
        self.objects.push(Object { start: self.here(), first: self.members.len() });
        Ok(())
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.put_in_order()?;
        self.depth -= 1;
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        let start = self.here();
        self.members.push(Member { start, key_end: start, end: start });
        Ok(())
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        let here = self.here();
        if let Some(member) = self.members.last_mut() {
            member.key_end = here;
        }
        Ok(())
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        let here = self.here();
        if let Some(member) = self.members.last_mut() {
            member.end = here;
        }
        Ok(())
    }
}
