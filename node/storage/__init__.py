"""What a node stores, and the only place that speaks SQL: tables, repositories, migrations."""
