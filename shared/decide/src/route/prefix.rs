//! A tree of path segments: which prefixes a path has, in time that depends on the path alone.

use super::hashing::Table;

/// Values by path prefix, matched by whole segments.
#[derive(Debug)]
pub(super) struct Prefixes<T> {
    /// The first is the root, which every path has.
    nodes: Vec<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    children: Table<Box<str>, u32>,
    value: Option<T>,
    /// The nearest node above that has a value.
    above: Option<u32>,
}

impl<T> Prefixes<T> {
    /// The tree of these prefixes, each given once, without trailing slash; the root's is empty.
    pub(super) fn build(values: impl IntoIterator<Item = (String, T)>) -> Self {
        let mut tree = Self { nodes: vec![Node::empty()] };
        for (prefix, value) in values {
            let mut at = 0;
            for segment in segments(&prefix) {
                let next = tree.nodes.len() as u32;
                let node = &mut tree.nodes[at];
                let child = *node.children.entry(segment.into()).or_insert(next);
                if child == next {
                    tree.nodes.push(Node::empty());
                }
                at = child as usize;
            }
            tree.nodes[at].value = Some(value);
        }
        tree.link();
        tree
    }

    /// Points every node at the nearest one above it that has a value. A child always comes after its parent.
    fn link(&mut self) {
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            let above = if node.value.is_some() { Some(at as u32) } else { node.above };
            let children: Vec<u32> = node.children.values().copied().collect();
            for child in children {
                self.nodes[child as usize].above = above;
            }
        }
    }

    /// The values of all prefixes of a path, the longest first.
    pub(super) fn of(&self, path: &str) -> impl Iterator<Item = &T> {
        let mut at = &self.nodes[0];
        for segment in segments(path) {
            let Some(child) = at.children.get(segment) else { break };
            at = &self.nodes[*child as usize];
        }
        std::iter::successors(Some(at), |node| Some(&self.nodes[node.above? as usize]))
            .filter_map(|node| node.value.as_ref())
    }
}

impl<T> Node<T> {
    fn empty() -> Self {
        Self { children: Table::default(), value: None, above: None }
    }
}

/// What stands between slashes: `/a//b` has the segments `a`, an empty one, and `b`. A path that does not begin with a slash (the
/// `*` of OPTIONS) has none.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').into_iter().flat_map(|path| path.split('/'))
}

#[cfg(test)]
mod tests;
