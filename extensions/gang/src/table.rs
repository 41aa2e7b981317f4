//! The slot table: which groups there are, and which may run in which time slot.
//!
//! It has a column for each core, and as many rows as are needed; a group stands in the first row with room for
//! it, on neighbouring cores if there are such. In each period one row has its turn.

use alloc::vec::Vec;

use spindle::Strand;

/// One of a group.
pub struct Member {
    pub strand: Strand,
    pub core: u32,
    /// It can run, as far as one hears.
    pub is_ready: bool,
}

/// How it is with a group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for its turn, for its virtual processors, or for a member.
    Stopped,
    /// It runs.
    Running {
        /// When it was started.
        since_ns: u64,
        /// The cores on which it has begun.
        arrived: u64,
    },
}

/// Strands that run together.
pub struct Group {
    number: u64,
    /// Members that are still to come.
    pub missing: u32,
    pub members: Vec<Member>,
    /// Cores that are kept for it: bit *n* is core *n*.
    cores: u64,
    row: usize,
    pub stage: Stage,
}

impl Group {
    /// Are all there, and can all run?
    pub fn is_whole(&self) -> bool {
        self.missing == 0 && !self.members.is_empty() && self.members.iter().all(|member| member.is_ready)
    }

    /// The cores of those who live.
    pub fn cores(&self) -> u64 {
        self.members.iter().fold(0, |cores, member| cores | 1 << member.core)
    }
}

/// All groups.
pub struct Table {
    groups: Vec<Group>,
    /// The row whose turn it is.
    row: usize,
}

impl Table {
    /// Nobody.
    pub const fn new() -> Self {
        Self { groups: Vec::new(), row: 0 }
    }

    /// Makes room for a group of so many, which are at most as many as `cores` has bits.
    pub fn add(&mut self, number: u64, size: u32, cores: u64) {
        let mut row = 0;
        let free = loop {
            let in_row = self.groups.iter().filter(|group| group.row == row);
            let free = in_row.fold(cores, |free, group| free & !group.cores);
            if free.count_ones() >= size {
                break free;
            }
            row += 1;
        };
        let own = lowest(free, size);
        let stage = Stage::Stopped;
        self.groups.push(Group { number, missing: size, members: Vec::new(), cores: own, row, stage });
    }

    /// The strand is a member from now on; it says whether there was such a group, with room.
    pub fn join(&mut self, number: u64, strand: Strand, is_ready: bool) -> bool {
        let is_its = |group: &&mut Group| group.number == number && group.missing > 0;
        let Some(group) = self.groups.iter_mut().find(is_its) else { return false };
        let core = (group.cores & !group.cores()).trailing_zeros();
        group.members.push(Member { strand, core, is_ready });
        group.missing -= 1;
        true
    }

    /// No more members come.
    pub fn close(&mut self, number: u64) {
        self.groups.iter_mut().filter(|group| group.number == number).for_each(|group| group.missing = 0);
        self.tidy();
    }

    /// The group of a strand, and which member that is.
    pub fn find(&mut self, strand: Strand) -> Option<(&mut Group, usize)> {
        self.groups.iter_mut().find_map(|group| {
            let place = group.members.iter().position(|member| member.strand == strand)?;
            Some((group, place))
        })
    }

    /// The strand is no member any more.
    pub fn leave(&mut self, strand: Strand) {
        for group in &mut self.groups {
            group.members.retain(|member| member.strand != strand);
        }
        self.tidy();
    }

    /// Strikes off members who are not there any more.
    pub fn sweep(&mut self, mut is_there: impl FnMut(Strand) -> bool) {
        for group in &mut self.groups {
            if group.stage == Stage::Stopped {
                group.members.retain(|member| is_there(member.strand));
            }
        }
        self.tidy();
    }

    /// Groups whose members have all ended have no place any more.
    fn tidy(&mut self) {
        self.groups.retain(|group| group.missing > 0 || !group.members.is_empty());
        if self.groups.is_empty() {
            // Whoever counts bytes wants them back.
            self.groups = Vec::new();
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Could any group run?
    pub fn has_whole(&self) -> bool {
        self.groups.iter().any(Group::is_whole)
    }

    fn is_worth_it(&self, row: usize) -> bool {
        self.groups.iter().any(|group| group.row == row && group.is_whole())
    }

    /// The next row has its turn that has a group which can run.
    pub fn turn(&mut self) {
        let rows = self.groups.iter().map(|group| group.row + 1).max().unwrap_or(0);
        let after = (1..=rows).map(|step| (self.row + step) % rows);
        if let Some(row) = after.into_iter().find(|row| self.is_worth_it(*row)) {
            self.row = row;
        }
    }

    /// The group that has its turn on that core, and which of its members runs there, if all can run.
    pub fn at(&mut self, core: u32) -> Option<(&mut Group, usize)> {
        if !self.is_worth_it(self.row) {
            self.turn();
        }
        let row = self.row;
        self.groups.iter_mut().filter(|group| group.row == row && group.is_whole()).find_map(|group| {
            let place = group.members.iter().position(|member| member.core == core)?;
            Some((group, place))
        })
    }
}

/// So many of these bits, neighbours if there are so many together.
fn lowest(bits: u64, count: u32) -> u64 {
    let run = u64::MAX >> (u64::BITS - count);
    let neighbours = (0..=u64::BITS - count).map(|shift| run << shift).find(|run| run & !bits == 0);
    neighbours.unwrap_or_else(|| {
        let mut rest = bits;
        (0..count).for_each(|_| rest &= rest - 1);
        bits & !rest
    })
}
