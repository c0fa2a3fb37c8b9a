// The import template of a form, from the catalogue: headings, red columns, drop-downs, notes, an example.

extension Form {
    package func writeTemplate(to path: String, catalogue: Catalogue) throws(Failure) {
        let columns = fields.enumerated().map { index, field in
            let notes = [field.note, field.length.map { "最多\($0)个字符" } ?? ""].filter { !$0.isEmpty }
            return TemplateColumn(
                title: field.title, isRequired: field.required || key.contains(index), note: notes.joined(separator: "；"),
                choices: field.codes.flatMap { catalogue.codeSets[$0]?.entries.map(\.name) } ?? (field.type == .flag ? ["是", "否"] : []))
        }
        let examples = fields.map { field -> String in
            let value = example[field.id]?.shown ?? ""
            return field.codes.flatMap { catalogue.codeSets[$0]?.name(of: value) } ?? value
        }
        var instructions = ["内容填在第一个工作表，从第2行开始，最多\(WorkbookRows.rowsMax)行。", "红色标题的列为必填项。"]
        if !prerequisites.isEmpty {
            instructions.append("前置表单：" + prerequisites.compactMap { catalogue[$0]?.path }.joined(separator: "、"))
        }
        do throws(WorkbookError) {
            try TemplateWriter.write(
                path: path, title: template ?? title, columns: columns, exampleRow: examples, instructions: instructions)
        } catch {
            throw error.failure
        }
    }
}
