//! Search trees over container instances, many trees sharing one array of nodes.
//!
//! Each tree is a treap ordered by (first resource, second resource, id) in which every node knows the greatest second
//! resource below it. The first node in order with enough of both resources is thereby found in one descent: a
//! subtree is entered only when it holds such a node, or lies on the one path that separates enough of the first
//! resource from too little. Priorities are a hash of the id, so that the same instances make the same tree.
//!
//! A node is named by the slot of its instance, so one forest holds each instance at most once.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::model::ids::ContainerInstanceId;

/// The position of an instance in the index's table.
pub(super) type SlotIndex = u32;

/// The place of an instance in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Key {
    /// What is left of the resource that the tree is ordered by.
    pub(super) first: u32,
    /// What is left of the other one.
    pub(super) second: u32,
    /// The instance.
    pub(super) id: ContainerInstanceId,
}

impl Ord for Key {
    /// As of (first, second, id), compared as one number: a tree is descended by little else.
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        self.packed().cmp(&other.packed())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Key {
    fn packed(&self) -> u128 {
        u128::from(self.first) << 96 | u128::from(self.second) << 64 | u128::from(self.id.0)
    }

    /// Before every instance with this much left.
    pub(super) fn before(first: u32, second: u32) -> Key {
        Key { first, second, id: ContainerInstanceId(0) }
    }

    /// Behind every instance with this much left: ids are counters and never get there.
    pub(super) fn behind(first: u32, second: u32) -> Key {
        Key { first, second, id: ContainerInstanceId(u64::MAX) }
    }
}

/// A tree of a forest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Tree(u32);

const NIL: u32 = u32::MAX;

impl Tree {
    /// The tree without a node.
    pub(super) const EMPTY: Tree = Tree(NIL);
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Node {
    key: Key,
    priority: u32,
    left: u32,
    right: u32,
    size: u32,
    second_max: u32,
}

impl Node {
    const VACANT: Node = Node {
        key: Key { first: 0, second: 0, id: ContainerInstanceId(0) },
        priority: 0,
        left: NIL,
        right: NIL,
        size: 0,
        second_max: 0,
    };
}

/// The nodes of all trees that share slots.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Forest {
    nodes: Vec<Node>,
    /// Room for the nodes above one that goes.
    #[serde(skip)]
    shrunk: Vec<u32>,
}

/// The side of a node that a subtree hangs on.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

impl Forest {
    /// Looks at an instance's node: see `look_ahead`.
    pub(super) fn look_ahead_at(&self, slot: SlotIndex) -> u64 {
        self.nodes.get(slot as usize).map_or(0, |node| u64::from(node.size))
    }

    /// Puts an instance that is in no tree of this forest into one.
    pub(super) fn insert(&mut self, tree: &mut Tree, slot: SlotIndex, key: Key) {
        let index = slot as usize;
        if self.nodes.len() <= index {
            self.nodes.resize(index + 1, Node::VACANT);
        }
        let priority = priority(key.id);
        self.nodes[index] = Node { key, priority, left: NIL, right: NIL, size: 1, second_max: key.second };
        let (mut from, mut at) = (None, tree.0);
        while at != NIL {
            let node = &mut self.nodes[at as usize];
            if priority > node.priority {
                let (left, right) = self.split(at, &key);
                let node = &mut self.nodes[index];
                node.left = left;
                node.right = right;
                self.refresh(slot);
                break;
            }
            // Only one node comes: there is no need to look at the other side.
            node.size += 1;
            node.second_max = node.second_max.max(key.second);
            let (side, next) = if key < node.key { (Side::Left, node.left) } else { (Side::Right, node.right) };
            from = Some((at, side));
            at = next;
        }
        self.hang(tree, from, slot);
    }

    /// Takes an instance out of the tree that holds it.
    pub(super) fn remove(&mut self, tree: &mut Tree, slot: SlotIndex) {
        let key = self.nodes[slot as usize].key;
        self.shrunk.clear();
        let (mut from, mut at) = (None, tree.0);
        loop {
            assert!(at != NIL, "an instance is removed from the tree that holds it");
            let node = &mut self.nodes[at as usize];
            let (side, next) = match key.cmp(&node.key) {
                std::cmp::Ordering::Less => (Side::Left, node.left),
                std::cmp::Ordering::Equal => break,
                std::cmp::Ordering::Greater => (Side::Right, node.right),
            };
            // Only one node goes: the others are looked at only if it may have had the most.
            node.size -= 1;
            if node.second_max == key.second {
                self.shrunk.push(at);
            }
            from = Some((at, side));
            at = next;
        }
        let Node { left, right, .. } = self.nodes[at as usize];
        let joined = self.merge(left, right);
        self.hang(tree, from, joined);
        while let Some(at) = self.shrunk.pop() {
            self.refresh(at);
        }
    }

    /// The key under which an instance was inserted last.
    pub(super) fn key(&self, slot: SlotIndex) -> Key {
        self.nodes[slot as usize].key
    }

    /// How many instances of a tree come before a key.
    pub(super) fn rank(&self, tree: Tree, key: &Key) -> u32 {
        let (mut at, mut rank) = (tree.0, 0);
        while at != NIL {
            let node = &self.nodes[at as usize];
            if node.key < *key {
                rank += self.size_of(node.left) + 1;
                at = node.right;
            } else {
                at = node.left;
            }
        }
        rank
    }

    /// The instance that `rank` others of its tree come before.
    ///
    /// # Panics
    /// When the tree holds no more than `rank` instances.
    pub(super) fn select(&self, tree: Tree, rank: u32) -> SlotIndex {
        let (mut at, mut rank) = (tree.0, rank);
        loop {
            assert!(at != NIL, "a rank is below the size of its tree");
            let node = &self.nodes[at as usize];
            let left = self.size_of(node.left);
            if rank == left {
                return at;
            }
            if rank < left {
                at = node.left;
            } else {
                rank -= left + 1;
                at = node.right;
            }
        }
    }

    /// Visits the instances with at least this much left of both resources, in order, until the visitor breaks.
    pub(super) fn walk<B>(
        &self,
        tree: Tree,
        first: u32,
        second: u32,
        visit: &mut impl FnMut(SlotIndex, &Key) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut at = tree.0;
        while at != NIL {
            let node = &self.nodes[at as usize];
            if node.second_max < second {
                break;
            }
            if node.key.first >= first {
                self.walk(Tree(node.left), first, second, visit)?;
                if node.key.second >= second {
                    visit(at, &node.key)?;
                }
            }
            at = node.right;
        }
        ControlFlow::Continue(())
    }

    fn size_of(&self, at: u32) -> u32 {
        if at == NIL { 0 } else { self.nodes[at as usize].size }
    }

    fn second_max_of(&self, at: u32) -> u32 {
        if at == NIL { 0 } else { self.nodes[at as usize].second_max }
    }

    fn refresh(&mut self, at: u32) {
        let node = self.nodes[at as usize];
        let size = self.size_of(node.left) + self.size_of(node.right) + 1;
        let second_max = node.key.second.max(self.second_max_of(node.left)).max(self.second_max_of(node.right));
        let node = &mut self.nodes[at as usize];
        node.size = size;
        node.second_max = second_max;
    }

    /// Where a subtree hangs.
    fn hang(&mut self, tree: &mut Tree, from: Option<(u32, Side)>, at: u32) {
        match from {
            None => tree.0 = at,
            Some((parent, Side::Left)) => self.nodes[parent as usize].left = at,
            Some((parent, Side::Right)) => self.nodes[parent as usize].right = at,
        }
    }

    /// Parts a tree into what comes before the key and what does not.
    fn split(&mut self, at: u32, key: &Key) -> (u32, u32) {
        if at == NIL {
            return (NIL, NIL);
        }
        let node = self.nodes[at as usize];
        let parts = if node.key < *key {
            let (left, right) = self.split(node.right, key);
            self.nodes[at as usize].right = left;
            (at, right)
        } else {
            let (left, right) = self.split(node.left, key);
            self.nodes[at as usize].left = right;
            (left, at)
        };
        self.refresh(at);
        parts
    }

    /// Joins two trees of which the first lies wholly before the second.
    fn merge(&mut self, left: u32, right: u32) -> u32 {
        if left == NIL {
            return right;
        }
        if right == NIL {
            return left;
        }
        let (left_node, right_node) = (self.nodes[left as usize], self.nodes[right as usize]);
        if left_node.priority > right_node.priority {
            let joined = self.merge(left_node.right, right);
            self.nodes[left as usize].right = joined;
            self.refresh(left);
            left
        } else {
            let joined = self.merge(left, right_node.left);
            self.nodes[right as usize].left = joined;
            self.refresh(right);
            right
        }
    }
}

/// SplitMix64's finaliser, of which 32 bits are plenty for balance.
fn priority(id: ContainerInstanceId) -> u32 {
    let mut z = id.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 32) as u32
}
