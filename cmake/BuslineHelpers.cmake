# What a leaf CMakeLists.txt says: its sources, its libraries, its tests.

set(BUS_WARNINGS -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
	-Wvla -Wconversion -Wimplicit-fallthrough -Werror=format-security)
# Assertions are for our own bugs and stay on, also where CMake would define NDEBUG. What gcc 12 makes
# of -ftrivial-auto-var-init is looked at by tests/unit/check_padding.
set(BUS_HARDENING -UNDEBUG -fstack-clash-protection -fstack-protector-strong -fcf-protection=full
	-ftrivial-auto-var-init=zero -fno-delete-null-pointer-checks -fno-strict-overflow)

add_library(bus_flags INTERFACE)
target_include_directories(bus_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(bus_flags INTERFACE ${BUS_WARNINGS} ${BUS_HARDENING})
target_compile_definitions(bus_flags INTERFACE _GNU_SOURCE
	BUS_VERSION="${PROJECT_VERSION}" BUS_CRASH_POINTS=$<BOOL:${BUS_CRASH_POINTS}>)
target_link_options(bus_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodlopen)
if(BUS_WERROR)
	target_compile_options(bus_flags INTERFACE -Werror)
endif()
if(BUS_SANITIZE)
	target_compile_options(bus_flags INTERFACE -fsanitize=${BUS_SANITIZE}
		-fno-sanitize-recover=all -fno-omit-frame-pointer)
	target_link_options(bus_flags INTERFACE -fsanitize=${BUS_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
	target_compile_options(bus_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
if(BUS_COVERAGE)
	# tests have threads: counters that are not atomic run backwards
	target_compile_options(bus_flags INTERFACE --coverage -fprofile-update=atomic)
	target_link_options(bus_flags INTERFACE --coverage)
endif()

# bus_room(NAME SOURCES a.c ... LIBS x ...) - one static library per room, bus_NAME
function(bus_room name)
	cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
	add_library(bus_${name} STATIC ${arg_SOURCES})
	target_link_libraries(bus_${name} PUBLIC bus_flags ${arg_LIBS})
endfunction()

# bus_embed(TARGET SYMBOL file ...) - files as the table `const bus_embedded SYMBOL[]`
function(bus_embed target symbol)
	set(out ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.c)
	string(REPLACE ";" "\\;" files "${ARGN}")
	add_custom_command(OUTPUT ${out}
		COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DSYMBOL=${symbol}
			-DROOT=${CMAKE_CURRENT_SOURCE_DIR} "-DFILES=${files}"
			-P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
		DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
	target_sources(${target} PRIVATE ${out})
endfunction()

# bus_cunit(NAME LABEL label SOURCES a.c ... LIBS bus_x ... ENV A=b ...) - a CUnit executable
function(bus_cunit name)
	cmake_parse_arguments(arg "" "LABEL;TIMEOUT" "SOURCES;LIBS;ENV" ${ARGN})
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 180)
	endif()
	add_executable(${name} ${arg_SOURCES})
	target_link_libraries(${name} PRIVATE bus_test_support ${arg_LIBS})
	add_test(NAME ${arg_LABEL}.${name} COMMAND ${name}
		WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
	set_tests_properties(${arg_LABEL}.${name} PROPERTIES LABELS ${arg_LABEL}
		TIMEOUT ${arg_TIMEOUT} ENVIRONMENT "${arg_ENV}")
endfunction()
