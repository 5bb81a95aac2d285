/*
 * main.c - busline
 */
#include "apps/cli/cli.h"

int
main(int argc, char **argv)
{
	return bus_cli_main(argc, argv);
}
