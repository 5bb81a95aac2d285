/*
 * program.h - a compiled schema, and how it is run; private to this room
 *
 * DESIGN
 * A set indexes its documents once: every schema object is a place, every $id makes a
 * resource with its own base URI and anchors (documents.c). Compiling turns a place into
 * a node: an array of ops sorted so that cheap assertions come first and unevaluated*
 * last (compile.c and compile_*.c). An op holds the function that runs it, the JSON
 * types it looks at and its operands, looked up and resolved beforehand: a $ref is a
 * pointer, a pattern is machine code, properties are a table (eval_*.c).
 *
 * Running needs no memory of its own: the ways through instance and schema, the dynamic
 * scope and the marks of what was evaluated are frames on the C stack, bounded by
 * BUSP_DEPTH_MAX. Without a report the first failure ends it.
 */
#ifndef BUSP_SCHEMAS_PROGRAM_H
#define BUSP_SCHEMAS_PROGRAM_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "core/arena.h"
#include "core/buf.h"
#include "schemas/validator.h"

/* An event of depth 32 under the metaschema needs about 8 per level; half a KiB of stack
 * each. Also what ends a schema that refers to itself without consuming the instance. */
#define BUSP_DEPTH_MAX 512
/* A schema document; jansson's own parser would stop at 2048. */
#define BUSP_DOCUMENT_DEPTH_MAX 256
/* Of one schema object; an index into them has 16 bits. */
#define BUSP_PROPERTIES_MAX 16384u
/* Steps of one regular expression on one string; a linear one on 256 KiB stays below. */
#define BUSP_MATCH_LIMIT 1000000u

#define BUSP_DIALECT_URI "https://json-schema.org/draft/2020-12/schema"

/* The vocabularies of 2020-12, as bits. */
typedef enum busp_vocabulary {
	BUSP_VOCAB_CORE = 1u << 0,
	BUSP_VOCAB_APPLICATOR = 1u << 1,
	BUSP_VOCAB_UNEVALUATED = 1u << 2,
	BUSP_VOCAB_VALIDATION = 1u << 3,
	BUSP_VOCAB_META_DATA = 1u << 4,
	BUSP_VOCAB_FORMAT_ANNOTATION = 1u << 5,
	BUSP_VOCAB_FORMAT_ASSERTION = 1u << 6,
	BUSP_VOCAB_CONTENT = 1u << 7,
	/* what BUSP_DIALECT_URI itself declares */
	BUSP_VOCAB_DEFAULT = BUSP_VOCAB_CORE | BUSP_VOCAB_APPLICATOR |
			     BUSP_VOCAB_UNEVALUATED | BUSP_VOCAB_VALIDATION |
			     BUSP_VOCAB_META_DATA | BUSP_VOCAB_FORMAT_ANNOTATION |
			     BUSP_VOCAB_CONTENT,
} busp_vocabulary;

/* JSON types as bits: 1 << json_type, and a real number without a fraction. */
#define BUSP_TYPE_OBJECT (1u << JSON_OBJECT)
#define BUSP_TYPE_ARRAY (1u << JSON_ARRAY)
#define BUSP_TYPE_STRING (1u << JSON_STRING)
#define BUSP_TYPE_NUMBER ((1u << JSON_INTEGER) | (1u << JSON_REAL))
#define BUSP_TYPE_BOOLEAN ((1u << JSON_TRUE) | (1u << JSON_FALSE))
#define BUSP_TYPE_NULL (1u << JSON_NULL)
#define BUSP_TYPE_ANY 0xffu
#define BUSP_TYPE_WHOLE_REAL (1u << 8)
#define BUSP_TYPE_INTEGER ((1u << JSON_INTEGER) | BUSP_TYPE_WHOLE_REAL)

typedef struct busp_node busp_node;
typedef struct busp_op busp_op;
typedef struct busp_place busp_place;
typedef struct busp_resource busp_resource;

/* ---- documents ---- */

/* A schema object inside a document. */
struct busp_place {
	const json_t *json;
	busp_resource *resource;
	bus_str pointer;  /* JSON Pointer from the document's root, for messages */
	busp_node *node;  /* NULL until somebody refers to it */
	busp_place *next; /* in its slot of the set's table */
};

typedef struct busp_anchor {
	bus_str name;
	busp_place *place;
	bool dynamic;
	struct busp_anchor *next;
} busp_anchor;

struct busp_resource {
	bus_str uri; /* absolute, without a fragment */
	const json_t *json;
	busp_place *root;      /* NULL: the schema true or false */
	busp_resource *parent; /* it is embedded in; NULL: a document of its own */
	bus_str dialect;       /* its $schema; absent: the parent's */
	unsigned vocabularies; /* 0 until it is compiled */
	busp_anchor *anchors;
};

typedef struct busp_name {
	bus_str uri;
	busp_resource *resource;
	struct busp_name *next;
} busp_name;

#define BUSP_PLACE_SLOTS 1024

struct bus_schema_set {
	unsigned flags;
	bool broken; /* a compilation failed half way; nothing more is given out */
	uint64_t seed;
	bus_arena *arena;
	json_t *documents; /* array: keeps them alive */
	busp_name *names;
	busp_place *places[BUSP_PLACE_SLOTS];

	busp_node *pending; /* referred to, not yet compiled */
	busp_node *filled;  /* compiled, not yet searched for circles */
	busp_node *node_true, *node_false;
	struct busp_dynamic_name *dynamic_names; /* that a $dynamicRef looks for */
	struct busp_pattern *patterns;

	pcre2_compile_context *compile_context;
	pcre2_match_context *match_context;
	/* One spare, taken and given back by atomic exchange: no malloc per match. */
	pcre2_match_data *spare;
};

/* ---- program ---- */

struct bus_schema {
	bus_schema_set *set;
	const busp_node *node;
};

/* By the search for circles. */
typedef enum busp_seen { BUSP_SEEN_NOT, BUSP_SEEN_OPEN, BUSP_SEEN_DONE } busp_seen;

struct busp_node {
	busp_op *ops;
	uint32_t op_count;
	bool unevaluated; /* has an op that asks what was evaluated */
	busp_resource *resource;
	busp_place *place; /* NULL: the schema true or false */
	busp_node *next;   /* in the set's list of pending or filled ones */
	bus_schema schema; /* what bus_schema_compile hands out */
	busp_seen seen;
};

typedef struct busp_pattern {
	pcre2_code *code;
	const char *text; /* as written in the schema */
	struct busp_pattern *next;
} busp_pattern;

typedef struct busp_property {
	bus_str name;
	const busp_node *node; /* NULL: only required */
	bool required;
} busp_property;

/* properties, patternProperties, additionalProperties and required: one pass. */
typedef struct busp_object {
	busp_property *properties;
	uint32_t property_count;
	uint32_t required_count;
	uint16_t *table; /* open addressing by busp_name_hash(): index + 1, 0 is empty */
	uint32_t table_mask;
	const busp_pattern **patterns;
	const busp_node **pattern_nodes;
	uint32_t pattern_count;
	const busp_node *additional; /* NULL: none */
	bool additional_false;       /* the usual case, with a message of its own */
} busp_object;

typedef struct busp_array {
	const busp_node **prefix;
	uint32_t prefix_count;
	const busp_node *items; /* NULL: none */
} busp_array;

typedef struct busp_contains {
	const busp_node *node;
	size_t min;
	size_t max;
} busp_contains;

typedef struct busp_list {
	const busp_node **nodes;
	uint32_t count;
} busp_list;

typedef struct busp_branches {
	const busp_node *condition, *then_node, *else_node;
} busp_branches;

/* What must be there once `name` is: other members, or a schema. */
typedef struct busp_dependent {
	bus_str name;
	const busp_node *node;
	const bus_str *members;
	uint32_t member_count;
} busp_dependent;

typedef struct busp_dependents {
	busp_dependent *rows;
	uint32_t count;
} busp_dependents;

typedef struct busp_format {
	const char *name;
	bool (*check)(bus_str text);
} busp_format;

typedef struct busp_dynamic {
	const busp_node *target; /* where it leads if nothing outer has the anchor */
	bus_str name;
} busp_dynamic;

typedef struct busp_dynamic_name {
	bus_str name;
	struct busp_dynamic_name *next;
} busp_dynamic_name;

/* Where we are, and how we came here. One per schema entered, on the C stack. */
typedef struct busp_step {
	const struct busp_step *up;
	const char *keyword;      /* that led here */
	bus_str branch;           /* the name below that keyword; absent: none */
	int32_t branch_index;     /* or the index; -1: none */
	bus_str member;           /* the member of the instance gone into; absent: none */
	int64_t item;             /* or the item; -1: none */
	struct busp_marks *marks; /* what of it was evaluated; NULL: nobody asks */
} busp_step;

#define BUSP_STEP(up_, keyword_)                                                         \
	((busp_step){                                                                    \
		.up = (up_), .keyword = (keyword_), .branch_index = -1, .item = -1 })

/* Members or items of one instance, by their index. */
typedef struct busp_marks {
	size_t count;
	uint64_t few;
	uint64_t *many; /* more than 64 */
} busp_marks;

typedef struct busp_scope {
	const struct busp_scope *up;
	const busp_resource *resource;
} busp_scope;

typedef struct busp_run {
	bus_schema_set *set;
	bus_schema_report *report; /* NULL: the answer only */
	const busp_scope *scope;
	unsigned depth;
	const char *trouble; /* why it could not be finished */
	bus_status trouble_status;
} busp_run;

typedef bool (*busp_run_fn)(busp_run *run, const busp_op *op, const json_t *value,
			    busp_step *at);

struct busp_op {
	busp_run_fn run;
	unsigned types; /* of instances it looks at */
	unsigned rank;  /* order within the node */
	const char *keyword;
	union {
		unsigned type_mask;
		const json_t *json;
		size_t size;
		const busp_pattern *pattern;
		const busp_format *format;
		const busp_node *node;
		busp_dynamic dynamic;
		busp_object *object;
		busp_array *array;
		busp_contains contains;
		busp_list list;
		busp_branches branches;
		busp_dependents dependents;
	} u;
};

/* Ranks: what an op may rely on has run before it. */
enum {
	BUSP_RANK_TYPE = 0,
	BUSP_RANK_VALUE = 1,
	BUSP_RANK_CHILDREN = 2,
	BUSP_RANK_IN_PLACE = 3,
	BUSP_RANK_UNEVALUATED = 4,
};

/* ---- documents.c ---- */

bus_status busp_documents_add(bus_schema_set *set, bus_str uri, const json_t *document,
			      bus_error *err);
/* Where a URI leads. */
typedef struct busp_target {
	const json_t *json;
	busp_place *place;         /* NULL: the schema true or false */
	const busp_anchor *anchor; /* that named it; NULL: none did */
} busp_target;

bus_status busp_documents_find(bus_schema_set *set, bus_str base, bus_str uri,
			       busp_target *ret_target, bus_error *err);
busp_resource *busp_resource_find(const bus_schema_set *set, bus_str uri);
/* The place of a schema object that the index has. */
busp_place *busp_place_find(const bus_schema_set *set, const json_t *json);
bus_status busp_resource_dialect(bus_schema_set *set, busp_resource *resource,
				 unsigned *ret_vocabularies, bus_error *err);

/* ---- compile.c ---- */

/* One node being built. */
typedef struct busp_build {
	bus_schema_set *set;
	busp_node *node;
	const json_t *json; /* its schema object */
	unsigned vocabularies;
	busp_op ops[40]; /* no schema has more: one per keyword that is run */
	busp_object *object;
	busp_array *array;
	uint32_t property_cap; /* room in object->properties */
	bus_error *err;
} busp_build;

/* Where a keyword's subschemas lie. */
typedef enum busp_shape {
	BUSP_SHAPE_NONE,
	BUSP_SHAPE_SCHEMA,
	BUSP_SHAPE_LIST,
	BUSP_SHAPE_MAP,
} busp_shape;

typedef struct busp_keyword {
	const char *name;
	unsigned vocabulary; /* busp_vocabulary */
	busp_shape shape;
	/* NULL: read over */
	bus_status (*compile)(busp_build *build, const struct busp_keyword *keyword,
			      const json_t *value);
	busp_run_fn run; /* for those that share a compile function */
	unsigned types;
} busp_keyword;

/* NULL if there is none. */
const busp_keyword *busp_keyword_find(const char *name);
/* The node of a target, and all that can be reached from it. */
bus_status busp_compile(bus_schema_set *set, const busp_target *target,
			busp_node **ret_node, bus_error *err);

/* For keyword functions. */
busp_op *busp_build_op(busp_build *build, const busp_keyword *keyword, unsigned rank);
bus_status busp_build_fail(busp_build *build, const char *keyword, const char *fmt, ...)
	BUS_PRINTF(3, 4);
bus_status busp_build_node(busp_build *build, const char *keyword, const json_t *json,
			   const busp_node **ret_node);
bus_status busp_build_list(busp_build *build, const char *keyword, const json_t *json,
			   busp_list *ret_list);
/* A list of distinct strings. */
bus_status busp_build_names(busp_build *build, const char *keyword, const json_t *json,
			    const bus_str **ret_names, uint32_t *ret_count);
bus_status busp_build_size(busp_build *build, const char *keyword, const json_t *json,
			   size_t *ret_size);
bus_status busp_build_pattern(busp_build *build, const char *keyword, bus_str text,
			      const busp_pattern **ret_pattern);
/* Once every keyword was seen: the table of names. */
void busp_build_object_finish(busp_build *build);

/* compile_*.c: the compile functions of the table in keywords.c */
#define BUSP_COMPILE(name)                                                               \
	bus_status name(busp_build *build, const busp_keyword *keyword,                  \
			const json_t *value)
BUSP_COMPILE(busp_compile_defs);
BUSP_COMPILE(busp_compile_ref);
BUSP_COMPILE(busp_compile_dynamic_ref);
BUSP_COMPILE(busp_compile_type);
BUSP_COMPILE(busp_compile_enum);
BUSP_COMPILE(busp_compile_const);
BUSP_COMPILE(busp_compile_number);
BUSP_COMPILE(busp_compile_multiple_of);
BUSP_COMPILE(busp_compile_size);
BUSP_COMPILE(busp_compile_pattern);
BUSP_COMPILE(busp_compile_format);
BUSP_COMPILE(busp_compile_unique);
BUSP_COMPILE(busp_compile_properties);
BUSP_COMPILE(busp_compile_pattern_properties);
BUSP_COMPILE(busp_compile_additional);
BUSP_COMPILE(busp_compile_required);
BUSP_COMPILE(busp_compile_dependent_required);
BUSP_COMPILE(busp_compile_dependent_schemas);
BUSP_COMPILE(busp_compile_prefix_items);
BUSP_COMPILE(busp_compile_items);
BUSP_COMPILE(busp_compile_contains);
BUSP_COMPILE(busp_compile_contains_bound);
BUSP_COMPILE(busp_compile_list);
BUSP_COMPILE(busp_compile_if);
BUSP_COMPILE(busp_compile_branch);
BUSP_COMPILE(busp_compile_one);
BUSP_COMPILE(busp_compile_unevaluated);

/* ---- eval.c and eval_*.c ---- */

bool busp_node_run(busp_run *run, const busp_node *node, const json_t *value,
		   busp_step *at);
/* The same without a report: for branches whose failure is no failure. */
bool busp_node_try(busp_run *run, const busp_node *node, const json_t *value,
		   busp_step *at);
/* Records a failure at a place; false, so that `return busp_fail(...)` reads well. */
bool busp_fail(busp_run *run, const busp_step *at, const char *keyword, const char *fmt,
	       ...) BUS_PRINTF(4, 5);
void busp_trouble(busp_run *run, bus_status status, const char *why);

static inline uint64_t *
busp_marks_word(busp_marks *marks, size_t index)
{
	return marks->many != NULL ? &marks->many[index / 64] : &marks->few;
}

static inline void
busp_mark(busp_marks *marks, size_t index)
{
	if (marks != NULL) {
		*busp_marks_word(marks, index) |= 1ull << (index % 64);
	}
}

static inline bool
busp_marked(busp_marks *marks, size_t index)
{
	return (*busp_marks_word(marks, index) >> (index % 64) & 1) != 0;
}

#define BUSP_RUN(name)                                                                   \
	bool name(busp_run *run, const busp_op *op, const json_t *value, busp_step *at)
BUSP_RUN(busp_run_false);
BUSP_RUN(busp_run_type);
BUSP_RUN(busp_run_enum);
BUSP_RUN(busp_run_const);
BUSP_RUN(busp_run_multiple_of);
BUSP_RUN(busp_run_maximum);
BUSP_RUN(busp_run_exclusive_maximum);
BUSP_RUN(busp_run_minimum);
BUSP_RUN(busp_run_exclusive_minimum);
BUSP_RUN(busp_run_max_length);
BUSP_RUN(busp_run_min_length);
BUSP_RUN(busp_run_pattern);
BUSP_RUN(busp_run_format);
BUSP_RUN(busp_run_max_items);
BUSP_RUN(busp_run_min_items);
BUSP_RUN(busp_run_unique);
BUSP_RUN(busp_run_array);
BUSP_RUN(busp_run_contains);
BUSP_RUN(busp_run_unevaluated_items);
BUSP_RUN(busp_run_max_properties);
BUSP_RUN(busp_run_min_properties);
BUSP_RUN(busp_run_object);
BUSP_RUN(busp_run_property_names);
BUSP_RUN(busp_run_dependent_required);
BUSP_RUN(busp_run_dependent_schemas);
BUSP_RUN(busp_run_unevaluated_properties);
BUSP_RUN(busp_run_all_of);
BUSP_RUN(busp_run_any_of);
BUSP_RUN(busp_run_one_of);
BUSP_RUN(busp_run_not);
BUSP_RUN(busp_run_if);
BUSP_RUN(busp_run_ref);
BUSP_RUN(busp_run_dynamic_ref);

/* Names are short and ours: length and three bytes spread them well enough. */
static inline uint32_t
busp_name_hash(const char *name, size_t len)
{
	if (len == 0) {
		return 0;
	}
	uint32_t first = (unsigned char)name[0], middle = (unsigned char)name[len / 2],
		 last = (unsigned char)name[len - 1];
	return (uint32_t)len * 0x9e3779b1u ^ first * 0x85ebca6bu ^ middle * 0xc2b2ae35u ^
	       last * 0x27d4eb2fu;
}

/* ---- values.c ---- */

/* <0, 0, >0; exact also between an integer and a real. */
int busp_number_compare(const json_t *a, const json_t *b);
bool busp_number_whole(double value);
/* JSON Schema's equality: 1 equals 1.0, member order does not count. */
bool busp_equal(const json_t *a, const json_t *b);
/* Equal values have equal hashes. */
uint64_t busp_hash(const json_t *value, uint64_t seed);
size_t busp_code_points(bus_str text);

/* ---- uri.c ---- */

typedef struct busp_uri {
	bus_str scheme, authority, path, query, fragment; /* absent where there is none */
} busp_uri;

busp_uri busp_uri_split(bus_str text);
/* RFC 3986, 5.2.2: into buf, replacing what is there; without the fragment. */
void busp_uri_resolve(bus_str base, bus_str reference, bus_buf *buf);
/* %XX undone; false if one is cut off or not hexadecimal. */
bool busp_uri_unescape(bus_str text, bus_buf *buf);

/* ---- regex.c ---- */

/* An ECMA-262 pattern (Unicode mode) as PCRE2 writes it. Errors: BUS_E_REJECT. */
bus_status busp_regex_translate(bus_str pattern, bus_buf *buf, bus_error *err);
bool busp_regex_valid(bus_str text);
bus_status busp_regex_compile(bus_schema_set *set, bus_str text,
			      busp_pattern **ret_pattern, bus_error *err);
/* 1 matches, 0 does not, -1 gave up at the limit. */
int busp_regex_match(bus_schema_set *set, const busp_pattern *pattern, bus_str text);

/* ---- format.c ---- */

/* NULL if there is none of that name. */
const busp_format *busp_format_find(const char *name);

#endif
