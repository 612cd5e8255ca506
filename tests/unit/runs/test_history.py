"""The records of a run as lines of JSON."""

from jaxaug.runs.history import append_record, read_history, write_history


def test_records_come_back(tmp_path):
    file, records = tmp_path / "metrics.jsonl", [{"step": 1, "test_top1": 0.5}, {"step": 2, "test_top1": 0.25}]
    for record in records:
        append_record(file, record)
    assert read_history(file) == records
    write_history(file, records[1:])
    assert read_history(file) == records[1:]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_line_that_was_cut_is_passed_over(tmp_path):
    file = tmp_path / "metrics.jsonl"
    append_record(file, {"step": 1})
    with file.open("a") as lines:
        lines.write('{"step": 2, "test_')
    assert read_history(file) == [{"step": 1}]
