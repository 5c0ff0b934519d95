//! Several samples at a time: one fence and one look at the waiters for all.

use crate::error::{CommitError, LoanError, TakeError};
use crate::loan::Loan;
use crate::reader::Reader;
use crate::sample::Sample;
use crate::segment::SegmentHandle;
use crate::typed::Payload;
use crate::writer::Writer;

/// Up to `N` things, without a heap. Derefs to a slice; iterating by value hands them out in order.
#[derive(Debug)]
pub struct Batch<T, const N: usize> {
    items: heapless::Vec<T, N>,
}

impl<T, const N: usize> core::ops::Deref for Batch<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T, const N: usize> core::ops::DerefMut for Batch<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<T, const N: usize> IntoIterator for Batch<T, N> {
    type Item = T;
    type IntoIter = BatchIter<T, N>;

    fn into_iter(self) -> Self::IntoIter {
        BatchIter { items: self.items.into_iter() }
    }
}

/// Iterates over a [`Batch`] by value.
#[derive(Debug)]
pub struct BatchIter<T, const N: usize> {
    items: heapless::vec::IntoIter<T, N, usize>,
}

impl<T, const N: usize> Iterator for BatchIter<T, N> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.items.next()
    }
}

impl<H: SegmentHandle, T: Payload + ?Sized> Reader<H, T> {
    /// Takes up to `N` samples that are there now. Never waits; empty if there is none.
    ///
    /// # Errors
    /// As [`take`](Self::take), where the very first look fails; after that the batch ends instead.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// for number in 0..3 {
    ///     writer.send(&[number])?;
    /// }
    /// let batch = reader.take_batch::<2>()?;
    /// assert_eq!((&*batch[0], &*batch[1]), (&[0][..], &[1][..]));
    /// drop(batch); // read, all of them
    /// assert_eq!(reader.take_batch::<2>()?.len(), 1);
    /// assert!(reader.take_batch::<2>()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_batch<const N: usize>(&self) -> Result<Batch<Sample<'_, H, T>, N>, TakeError> {
        let mut items = heapless::Vec::new();
        while !items.is_full() {
            match self.take() {
                Ok(Some(sample)) => {
                    // There is room: just checked.
                    let _ = items.push(sample);
                }
                Err(error) if items.is_empty() => return Err(error),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(Batch { items })
    }
}

impl<H: SegmentHandle, T: Payload + ?Sized> Writer<H, T> {
    /// Loans up to `N` slots. Does not wait.
    ///
    /// # Errors
    /// As [`loan`](Self::loan), where not even one slot is free.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let writer = segment.writer()?;
    /// let loans = writer.loan_batch::<8>()?;
    /// assert_eq!(loans.len(), 4, "as many as are free");
    /// assert!(writer.loan_batch::<1>().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loan_batch<const N: usize>(&self) -> Result<Batch<Loan<'_, H, T>, N>, LoanError> {
        let mut items = heapless::Vec::new();
        while !items.is_full() {
            match self.loan() {
                Ok(loan) => {
                    // There is room: just checked.
                    let _ = items.push(loan);
                }
                Err(error) if items.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(Batch { items })
    }

    /// Publishes loans in order, each with the size that `size` tells (typed payloads: ignored), and tells waiters once at the end.
    /// The number published.
    ///
    /// # Errors
    /// The first [`CommitError`]; what was published before stays so, the rest is given back.
    ///
    /// ```
    /// # #[repr(align(64))] struct Bank([core::sync::atomic::AtomicU8; 16384]);
    /// # static BANK: Bank = Bank([const { core::sync::atomic::AtomicU8::new(0) }; 16384]);
    /// # // SAFETY: nobody else uses the bank, and one segment is made in it.
    /// # let region = unsafe { seqslot_core::Region::new(&BANK.0) }?;
    /// # let segment = seqslot_core::Segment::create(seqslot_core::Bare::new(region), &(), &seqslot_core::Config::slots(4, 64))?;
    /// let (reader, writer) = (segment.reader()?, segment.writer()?);
    /// let mut loans = writer.loan_batch::<3>()?;
    /// for (loan, first) in loans.iter_mut().zip(b"abc") {
    ///     loan[0] = *first;
    /// }
    /// assert_eq!(writer.commit_batch(loans, |index| index + 1)?, 3);
    /// let read = reader.take_batch::<4>()?.into_iter().map(|sample| (sample[0], sample.len()));
    /// assert!(read.eq([(b'a', 1), (b'b', 2), (b'c', 3)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn commit_batch<'w>(
        &'w self,
        loans: impl IntoIterator<Item = Loan<'w, H, T>>,
        mut size: impl FnMut(usize) -> usize,
    ) -> Result<u32, CommitError> {
        let mut tell = Tell { writer: self, published: 0 };
        for (index, loan) in loans.into_iter().enumerate() {
            let len = T::SIZE.unwrap_or_else(|| size(index));
            // A loan of another writer is committed as it would be alone: this writer does not tell that one's waiters. So is every
            // loan while slots are scarce, for then each commit has to look whether it left its slot free.
            if loan.is_of(self) && !self.protocol().is_scarce() { loan.commit_quietly(len) } else { loan.commit_bytes(len) }?;
            tell.published += 1;
        }
        Ok(tell.published)
    }
}

/// Tells of a batch when it goes, also when a panic or an error ends the batch early.
struct Tell<'w, H: SegmentHandle, T: ?Sized> {
    writer: &'w Writer<H, T>,
    published: u32,
}

impl<H: SegmentHandle, T: ?Sized> Drop for Tell<'_, H, T> {
    fn drop(&mut self) {
        if self.published == 0 || !self.writer.is_mine() {
            return;
        }
        let protocol = self.writer.protocol();
        protocol.tell_of_batch();
    }
}
