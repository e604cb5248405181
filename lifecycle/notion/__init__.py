"""Pages in Notion: what credit monitoring writes there, and the stages that it reads (50.5, 50.7)."""
