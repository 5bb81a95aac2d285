/* keywords.c - the keywords of JSON Schema 2020-12: vocabulary, shape, functions */
#include "schemas/program.h"

#define CORE BUSP_VOCAB_CORE
#define APPLICATOR BUSP_VOCAB_APPLICATOR
#define UNEVALUATED BUSP_VOCAB_UNEVALUATED
#define VALIDATION BUSP_VOCAB_VALIDATION
#define META BUSP_VOCAB_META_DATA
#define CONTENT BUSP_VOCAB_CONTENT

#define SCHEMA BUSP_SHAPE_SCHEMA
#define LIST BUSP_SHAPE_LIST
#define MAP BUSP_SHAPE_MAP

#define ANY BUSP_TYPE_ANY
#define NUMBER BUSP_TYPE_NUMBER
#define STRING BUSP_TYPE_STRING
#define ARRAY BUSP_TYPE_ARRAY
#define OBJECT BUSP_TYPE_OBJECT

/* Rows without a function are read over: documents.c has seen to identifiers, and
 * annotations say nothing about validity. */
static const busp_keyword keywords[] = {
	{ "$id", CORE, 0, NULL, NULL, 0 },
	{ "$schema", CORE, 0, NULL, NULL, 0 },
	{ "$anchor", CORE, 0, NULL, NULL, 0 },
	{ "$dynamicAnchor", CORE, 0, NULL, NULL, 0 },
	{ "$vocabulary", CORE, 0, NULL, NULL, 0 },
	{ "$comment", CORE, 0, NULL, NULL, 0 },
	{ "$defs", CORE, MAP, busp_compile_defs, NULL, 0 },
	{ "$ref", CORE, 0, busp_compile_ref, busp_run_ref, ANY },
	{ "$dynamicRef", CORE, 0, busp_compile_dynamic_ref, busp_run_dynamic_ref, ANY },

	{ "prefixItems", APPLICATOR, LIST, busp_compile_prefix_items, NULL, 0 },
	{ "items", APPLICATOR, SCHEMA, busp_compile_items, NULL, 0 },
	{ "contains", APPLICATOR, SCHEMA, busp_compile_contains, busp_run_contains,
	  ARRAY },
	{ "additionalProperties", APPLICATOR, SCHEMA, busp_compile_additional, NULL, 0 },
	{ "properties", APPLICATOR, MAP, busp_compile_properties, NULL, 0 },
	{ "patternProperties", APPLICATOR, MAP, busp_compile_pattern_properties, NULL, 0 },
	{ "dependentSchemas", APPLICATOR, MAP, busp_compile_dependent_schemas,
	  busp_run_dependent_schemas, OBJECT },
	{ "propertyNames", APPLICATOR, SCHEMA, busp_compile_one, busp_run_property_names,
	  OBJECT },
	{ "if", APPLICATOR, SCHEMA, busp_compile_if, busp_run_if, ANY },
	{ "then", APPLICATOR, SCHEMA, busp_compile_branch, NULL, 0 },
	{ "else", APPLICATOR, SCHEMA, busp_compile_branch, NULL, 0 },
	{ "allOf", APPLICATOR, LIST, busp_compile_list, busp_run_all_of, ANY },
	{ "anyOf", APPLICATOR, LIST, busp_compile_list, busp_run_any_of, ANY },
	{ "oneOf", APPLICATOR, LIST, busp_compile_list, busp_run_one_of, ANY },
	{ "not", APPLICATOR, SCHEMA, busp_compile_one, busp_run_not, ANY },

	{ "unevaluatedItems", UNEVALUATED, SCHEMA, busp_compile_unevaluated,
	  busp_run_unevaluated_items, ARRAY },
	{ "unevaluatedProperties", UNEVALUATED, SCHEMA, busp_compile_unevaluated,
	  busp_run_unevaluated_properties, OBJECT },

	{ "type", VALIDATION, 0, busp_compile_type, busp_run_type, ANY },
	{ "enum", VALIDATION, 0, busp_compile_enum, busp_run_enum, ANY },
	{ "const", VALIDATION, 0, busp_compile_const, busp_run_const, ANY },
	{ "multipleOf", VALIDATION, 0, busp_compile_multiple_of, busp_run_multiple_of,
	  NUMBER },
	{ "maximum", VALIDATION, 0, busp_compile_number, busp_run_maximum, NUMBER },
	{ "exclusiveMaximum", VALIDATION, 0, busp_compile_number,
	  busp_run_exclusive_maximum, NUMBER },
	{ "minimum", VALIDATION, 0, busp_compile_number, busp_run_minimum, NUMBER },
	{ "exclusiveMinimum", VALIDATION, 0, busp_compile_number,
	  busp_run_exclusive_minimum, NUMBER },
	{ "maxLength", VALIDATION, 0, busp_compile_size, busp_run_max_length, STRING },
	{ "minLength", VALIDATION, 0, busp_compile_size, busp_run_min_length, STRING },
	{ "pattern", VALIDATION, 0, busp_compile_pattern, busp_run_pattern, STRING },
	{ "maxItems", VALIDATION, 0, busp_compile_size, busp_run_max_items, ARRAY },
	{ "minItems", VALIDATION, 0, busp_compile_size, busp_run_min_items, ARRAY },
	{ "uniqueItems", VALIDATION, 0, busp_compile_unique, busp_run_unique, ARRAY },
	{ "maxContains", VALIDATION, 0, busp_compile_contains_bound, NULL, 0 },
	{ "minContains", VALIDATION, 0, busp_compile_contains_bound, NULL, 0 },
	{ "maxProperties", VALIDATION, 0, busp_compile_size, busp_run_max_properties,
	  OBJECT },
	{ "minProperties", VALIDATION, 0, busp_compile_size, busp_run_min_properties,
	  OBJECT },
	{ "required", VALIDATION, 0, busp_compile_required, NULL, 0 },
	{ "dependentRequired", VALIDATION, 0, busp_compile_dependent_required,
	  busp_run_dependent_required, OBJECT },

	{ "format", BUSP_VOCAB_FORMAT_ANNOTATION | BUSP_VOCAB_FORMAT_ASSERTION, 0,
	  busp_compile_format, busp_run_format, STRING },

	{ "contentEncoding", CONTENT, 0, NULL, NULL, 0 },
	{ "contentMediaType", CONTENT, 0, NULL, NULL, 0 },
	{ "contentSchema", CONTENT, SCHEMA, NULL, NULL, 0 },

	{ "title", META, 0, NULL, NULL, 0 },
	{ "description", META, 0, NULL, NULL, 0 },
	{ "default", META, 0, NULL, NULL, 0 },
	{ "deprecated", META, 0, NULL, NULL, 0 },
	{ "readOnly", META, 0, NULL, NULL, 0 },
	{ "writeOnly", META, 0, NULL, NULL, 0 },
	{ "examples", META, 0, NULL, NULL, 0 },
};

const busp_keyword *
busp_keyword_find(const char *name)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++) {
		if (strcmp(keywords[i].name, name) == 0) {
			return &keywords[i];
		}
	}
	return NULL;
}
